"""Records of cells: their schema, their history, and what is stored beside them."""
