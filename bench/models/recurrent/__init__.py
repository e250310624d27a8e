"""Recurrent architectures, which transformers does not have: an LSTM language model, a translator and a biLSTM."""
