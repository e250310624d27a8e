"""Teachers that change while a student trains, and several that were trained together."""
