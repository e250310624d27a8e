"""When units go, and what is trained in between."""
