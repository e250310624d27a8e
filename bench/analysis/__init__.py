"""From records to tables, leaderboards, fronts and pictures; imports no torch."""
