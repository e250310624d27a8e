"""Claimed savings of each stage compared with its real savings."""
