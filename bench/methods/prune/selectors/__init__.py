"""Which units go, given their scores."""
