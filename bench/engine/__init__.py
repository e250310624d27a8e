"""Steps as processes: what children are given, what they do, and what is written when one ends."""
