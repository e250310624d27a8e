"""The ways to give each matrix its bits."""
