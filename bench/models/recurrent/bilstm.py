"""An ELMo-like bidirectional LSTM (Peters et al. 2018, arXiv:1802.05365) under a classification head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from typing_extensions import override

from bench.models.recurrent.layer import BiLstmLayer, RecurrentModel, lengths_of


class BiLstmConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of a biLSTM classifier; `hidden_size` is that of one direction."""

    model_type = "bench-bilstm"

    vocab_size: int = 10000
    hidden_size: int = 256
    num_hidden_layers: int = 2
    dropout: float = 0.1
    initializer_range: float = 0.1
    pad_token_id: int | None = None


class ScalarMix(nn.Module):
    """gamma * sum_j softmax(weights)_j h_j over the embedding and every layer (Peters et al. 2018, eq. 1)."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers + 1))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, hidden: list[Tensor]) -> Tensor:
        """[batch, length, width] of layers + 1 such tensors."""
        shares = functional.softmax(self.weights, dim=0)
        mixed = sum((share * each for share, each in zip(shares.unbind(), hidden, strict=True)), torch.zeros(()))
        return self.gamma * mixed

    @override
    def extra_repr(self) -> str:
        return f"tensors={self.weights.numel()}"


class BiLstmModel(nn.Module):
    """Embedding, layers, mix; ELMo's character convolutions and projections are left out."""

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(BiLstmLayer(config.hidden_size) for _ in range(config.num_hidden_layers))
        self.mix = ScalarMix(config.num_hidden_layers)

    def forward(self, input_ids: Tensor, lengths: Tensor | None) -> Tensor:
        """The mixed representation of each token, [batch, length, 2 width]."""
        embedded = self.embed_tokens(input_ids)
        hidden = [torch.cat([embedded, embedded], dim=-1)]  # both directions begin with the same embedding
        for layer in self.layers:
            dropped = functional.dropout(hidden[-1], p=self.dropout, training=self.training)
            hidden.append(layer(dropped, lengths))
        mixed: Tensor = self.mix(hidden)
        return mixed


class BiLstmForSequenceClassification(RecurrentModel):
    """One linear layer over the mean of the real tokens; ELMo itself is pretrained, this is trained on the task."""

    config_class = BiLstmConfig

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        self.model = BiLstmModel(config)
        self.classifier = nn.Linear(2 * config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits [batch, labels].

        Args:
            input_ids: [batch, length], padded on the right.
            attention_mask: 1 at real tokens; None if all are real.
            token_type_ids: not used: the separator between two texts is a token.
        """
        lengths = lengths_of(attention_mask)
        hidden = self.model(input_ids, lengths)
        if lengths is None:
            pooled = hidden.mean(dim=1)
        else:
            real = torch.arange(hidden.size(1), device=hidden.device)[None, :] < lengths[:, None]
            pooled = (hidden * real[:, :, None]).sum(dim=1) / lengths[:, None]
        pooled = functional.dropout(pooled, p=self.config.dropout, training=self.training)
        return SequenceClassifierOutput(logits=self.classifier(pooled))

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ScalarMix):
            init.zeros_(module.weights)
            init.ones_(module.gamma)
