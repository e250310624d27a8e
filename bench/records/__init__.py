"""Records of cells: their schema, its history, and the tables stored with them."""
