"""Early exit."""
