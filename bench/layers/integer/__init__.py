"""Integer-only arithmetic (I-BERT: Kim et al. 2021, arXiv:2101.01321), and the encoder that runs on it."""
