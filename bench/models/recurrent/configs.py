"""The configurations of the recurrent architectures: `config.model_type` and sizes."""

from __future__ import annotations

from transformers import PreTrainedConfig


class LstmConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of an LSTM language model; embeddings are as wide as the hidden state, so that layers are alike."""

    model_type = "bench-lstm-lm"

    vocab_size: int = 10000
    hidden_size: int = 650
    num_hidden_layers: int = 2
    dropout: float = 0.5
    initializer_range: float = 0.1
    tie_word_embeddings: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None


class LstmSeq2SeqConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of an LSTM translator; one vocabulary and, where tied, one table for source, target and softmax."""

    model_type = "bench-lstm-seq2seq"

    vocab_size: int = 8000
    hidden_size: int = 256
    encoder_layers: int = 2
    decoder_layers: int = 2
    dropout: float = 0.2
    initializer_range: float = 0.1
    is_encoder_decoder: bool = True
    tie_word_embeddings: bool = True
    use_cache: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    decoder_start_token_id: int | None = None


class BiLstmConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of a biLSTM classifier; `hidden_size` is that of one direction."""

    model_type = "bench-bilstm"

    vocab_size: int = 10000
    hidden_size: int = 256
    num_hidden_layers: int = 2
    dropout: float = 0.1
    initializer_range: float = 0.1
    pad_token_id: int | None = None
