"""What executes a model: PyTorch itself, its compiler, or a runtime that reads a graph from a file."""
