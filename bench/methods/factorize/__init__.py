"""How matrices become two thin ones: what is replaced, who finds the factors, and who sets their rank."""
