"""A biLSTM whose last states are classified, alone or for both texts of a pair (Tang et al. 2019, arXiv:1903.12136)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.modeling_outputs import SequenceClassifierOutput

from bench.models.recurrent.layer import LstmLayer, RecurrentModel, lengths_of, reversed_steps


class StateBiLstmConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of the classifier: `hidden_size` is that of one direction, `head_size` that of the layer before the logits.

    With `pairs` the two texts of an input are read apart. The first ends with the first `separator_id`, unless segment
    ids say where the second begins.
    """

    model_type = "bench-state-bilstm"

    vocab_size: int = 10000
    embedding_size: int = 300
    hidden_size: int = 150
    num_hidden_layers: int = 1
    head_size: int = 200
    pairs: bool = False
    separator_id: int | None = None
    dropout: float = 0.1
    initializer_range: float = 0.1
    pad_token_id: int | None = None


class StateBiLstmLayer(nn.Module):
    """Two LSTM layers that read the same input in opposite directions.

    Args:
        inputs: width of the input.
        width: of the state of each direction.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.ahead = LstmLayer(inputs, width)
        self.back = LstmLayer(inputs, width)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None, *, packed: bool = False) -> tuple[Tensor, Tensor]:
        """Outputs [batch, length, 2 width] of `inputs` [batch, length, in], and the last states [batch, 2 width].

        The last state of `ahead` is that at the last real step, the one of `back` that at the first step.

        Args:
            inputs: what the layer reads, padded on the right.
            lengths: real steps of each row, [batch]; None if all are real.
            packed: leave padding out of the arithmetic, which pays if rows are much shorter than the longest.
        """
        backwards = reversed_steps(inputs, lengths)
        if packed:
            ahead, ahead_end = self.ahead(inputs, None, lengths)
            back, back_end = self.back(backwards, None, lengths)
            return _joined(ahead, back, lengths), torch.cat([ahead_end[:, 0], back_end[:, 0]], dim=-1)
        ahead, _ = self.ahead(inputs)
        back, _ = self.back(backwards)
        return _joined(ahead, back, lengths), torch.cat([_last(ahead, lengths), _last(back, lengths)], dim=-1)


class StateBiLstmModel(nn.Module):
    """Embedding and layers, dropout before each."""

    def __init__(self, config: StateBiLstmConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        widths = [config.embedding_size, *[2 * config.hidden_size] * (config.num_hidden_layers - 1)]
        self.layers = nn.ModuleList(StateBiLstmLayer(width, config.hidden_size) for width in widths)

    def forward(self, input_ids: Tensor, lengths: Tensor | None, *, packed: bool = False) -> Tensor:
        """The last states of the last layer, [batch, 2 width]."""
        hidden = self.embed_tokens(input_ids)
        states: Tensor = hidden[:, 0]
        for layer in self.layers:
            hidden = functional.dropout(hidden, p=self.dropout, training=self.training)
            hidden, states = layer(hidden, lengths, packed=packed)
        return states


class StateBiLstmForSequenceClassification(RecurrentModel):
    """A ReLU layer and logits over the last states h, or of a pair over [h1, h2, |h1 - h2|, h1 * h2] (§3.1).

    Both texts of a pair are read by the same layers (siamese); neither sees the other before the head.
    """

    config_class = StateBiLstmConfig

    def __init__(self, config: StateBiLstmConfig) -> None:
        super().__init__(config)
        self.model = StateBiLstmModel(config)
        states = 2 * config.hidden_size
        self.compare = nn.Linear(4 * states if config.pairs else states, config.head_size)
        self.classifier = nn.Linear(config.head_size, config.num_labels)
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
            token_type_ids: 1 at the tokens of the second text of a pair; None or all 0 if the separator tells.
        """
        lengths = lengths_of(attention_mask)
        if self.config.pairs:
            states = self._of_pair(input_ids, lengths, token_type_ids)
        else:
            states = self.model(input_ids, lengths)
        states = functional.dropout(states, p=self.config.dropout, training=self.training)
        return SequenceClassifierOutput(logits=self.classifier(functional.relu(self.compare(states))))

    def _of_pair(self, input_ids: Tensor, lengths: Tensor | None, token_type_ids: Tensor | None) -> Tensor:
        """[batch, 8 width]: the states of both texts, their distance and their product.

        A text without tokens has states of zero.
        """
        steps = torch.arange(input_ids.size(1), device=input_ids.device)[None, :]
        if lengths is None:
            lengths = torch.full_like(input_ids[:, 0], input_ids.size(1))
        first = self._first_lengths(input_ids, lengths, steps, token_type_ids)
        places = (first[:, None] + steps).clamp(max=input_ids.size(1) - 1)
        both = torch.cat([input_ids, input_ids.gather(1, places)])  # [2 batch, length]
        counts = torch.cat([first, lengths - first])
        states = self.model(both, counts.clamp(min=1), packed=True) * (counts > 0)[:, None]
        one, two = states.chunk(2)
        return torch.cat([one, two, (one - two).abs(), one * two], dim=-1)

    def _first_lengths(
        self, input_ids: Tensor, lengths: Tensor, steps: Tensor, token_type_ids: Tensor | None
    ) -> Tensor:
        """Tokens of the first text with its separator, [batch]; all tokens if nothing begins a second one."""
        first = lengths
        if self.config.separator_id is not None:
            before = (input_ids == self.config.separator_id).long().cumsum(dim=1) == 0
            first = torch.minimum(before.long().sum(dim=1) + 1, lengths)
        if token_type_ids is not None:
            second = ((token_type_ids == 1) & (steps < lengths[:, None])).long().sum(dim=1)
            first = torch.where(second > 0, lengths - second, first)
        return first


def _joined(ahead: Tensor, back: Tensor, lengths: Tensor | None) -> Tensor:
    return torch.cat([ahead, reversed_steps(back, lengths)], dim=-1)


def _last(outputs: Tensor, lengths: Tensor | None) -> Tensor:
    """The output at the last real step of each row, [batch, width]."""
    if lengths is None:
        return outputs[:, -1]
    places = (lengths - 1)[:, None, None].expand(-1, 1, outputs.size(2))
    return outputs.gather(1, places)[:, 0]
