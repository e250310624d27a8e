"""How far artifact and reference agree."""
