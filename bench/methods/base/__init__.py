"""What every method is made of."""
