"""Tasks: data sources, kinds, official metrics and evaluation."""
