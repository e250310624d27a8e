"""Transforms of rows: marks around spans, candidates for a placeholder, rows gathered into one."""
