"""Methods by which a model reads fewer tokens from layer to layer."""
