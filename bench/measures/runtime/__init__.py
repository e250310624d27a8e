"""What really runs the two models, and how far a graph is from its model."""
