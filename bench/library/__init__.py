"""What bench offers: suites, recipes, methods, measures and columns, by name."""
