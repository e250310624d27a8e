"""An LSTM language model (Zaremba et al. 2014, arXiv:1409.2329): embedding, layers, softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from bench.models.recurrent.layer import LstmLayer, RecurrentModel, run_layers


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


@dataclass
class LstmOutput(ModelOutput):  # type: ignore[misc]
    """`logits` [batch, length, vocabulary]; `states` [batch, layers, 2, width], to carry on with the next window."""

    logits: Tensor
    states: Tensor | None = None


class LstmModel(nn.Module):
    """Embedding and layers, dropout between them."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            LstmLayer(config.hidden_size, config.hidden_size) for _ in range(config.num_hidden_layers)
        )

    def forward(self, input_ids: Tensor, states: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Hidden states [batch, length, width] and the states of all layers at the end."""
        return run_layers(self.layers, self.embed_tokens(input_ids), states, None, dropout=self.dropout)


class LstmForCausalLM(RecurrentModel):
    """Predicts each next token; the softmax is the embedding table if `config.tie_word_embeddings`."""

    config_class = LstmConfig
    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.model = LstmModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, states: Tensor | None = None
    ) -> LstmOutput:
        """Logits of the token after each position.

        Args:
            input_ids: [batch, length].
            attention_mask: not used: padding on the right cannot reach the positions before it.
            states: the states returned for the previous window; None starts from zero.
        """
        hidden, ends = self.model(input_ids, states)
        hidden = functional.dropout(hidden, p=self.config.dropout, training=self.training)
        return LstmOutput(logits=self.lm_head(hidden), states=ends)
