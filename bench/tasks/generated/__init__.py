"""Generators of the demo suite's labelled text."""
