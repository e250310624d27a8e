"""Data sources: the hub, local directories, generators."""
