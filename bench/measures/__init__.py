"""Measures: plug-ins that yield columns of a record."""
