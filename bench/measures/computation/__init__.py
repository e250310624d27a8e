"""Multiply-adds and what executes them."""
