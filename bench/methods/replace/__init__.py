"""Module replacing."""
