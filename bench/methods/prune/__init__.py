"""Pruning as five choices: which units, how they are scored, which go, when, and at what price."""
