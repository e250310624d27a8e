"""What a measure is, and what it is given."""
