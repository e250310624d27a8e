"""Models: where they come from and one adapter per architecture."""
