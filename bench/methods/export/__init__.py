"""The last stage of a recipe: making a model's form for another runtime."""
