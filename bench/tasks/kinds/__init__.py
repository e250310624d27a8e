"""Task kinds: how examples become tensors and outputs become predictions."""
