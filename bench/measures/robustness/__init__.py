"""Shifted data and attacks."""
