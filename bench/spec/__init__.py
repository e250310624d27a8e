"""What a user writes down: suites with their tasks and setting, and recipes."""
