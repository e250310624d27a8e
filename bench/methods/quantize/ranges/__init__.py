"""The ranges that a grid of even steps covers."""
