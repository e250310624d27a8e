"""Finding what of a model is fully masked, and taking it out."""
