"""What dense retrieval costs besides the model: the bytes of the index and the seconds of a query."""
