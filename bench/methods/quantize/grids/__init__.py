"""The grids that weights are rounded to."""
