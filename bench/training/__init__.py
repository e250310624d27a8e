"""The one training loop, its hooks and its objectives."""
