"""Compressed models as data on disk, and the store they are filed in."""
