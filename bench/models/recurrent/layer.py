"""LSTM layers whose stacks of gate matrices are linear modules, and what every model of them has in common.

Because the two stacks of gate matrices of a layer are linear modules, they can be replaced and shared.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import PreTrainedModel
from transformers import initialization as init

GATES = 4


class LstmLayer(nn.Module):
    """An LSTM in one direction (Hochreiter & Schmidhuber 1997, with forget gates); the equations are `nn.LSTM`'s.

    i, f, o = sigmoid and g = tanh of the four blocks of `input_gates(x_t) + hidden_gates(h_(t-1))`, in the order
    i, f, g, o; c_t = f * c_(t-1) + i * g; h_t = o * tanh(c_t). There is one bias, in `input_gates`: `nn.LSTM` adds two,
    which is the same function.

    Dense gates run torch's fused kernel. If a gate was replaced (factorized, integer) or is hooked, the layer steps
    through time and calls the modules, `input_gates` once for all steps: torch has no fused kernel for such gates, so
    less arithmetic may take longer.

    Args:
        inputs: width of the input.
        width: of the hidden state.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.input_gates = nn.Linear(inputs, GATES * width)
        self.hidden_gates = nn.Linear(width, GATES * width, bias=False)

    def forward(
        self, inputs: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs [batch, length, width] of `inputs` [batch, length, in], and the state [batch, 2, width] at the end.

        Args:
            inputs: what the layer reads.
            state: hidden state and cell before the first step; None is zero.
            lengths: real steps of each row, int64 [batch]; the outputs after them are zero, and the state is the one
                at the end of each row. None means that all steps are real.
        """
        before = inputs.new_zeros(inputs.size(0), 2, self.width) if state is None else state
        if not self._fused():
            return self._stepped(inputs, before, lengths)
        hidden, cell = before[:, 0].unsqueeze(0), before[:, 1].unsqueeze(0)  # [1, batch, width]
        if lengths is not None:
            return self._packed(inputs, (hidden, cell), lengths)
        outputs, hidden, cell = torch.lstm(
            inputs, (hidden, cell), self._weights(), True, 1, 0.0, self.training, False, True
        )
        return outputs, torch.stack([hidden[0], cell[0]], dim=1)

    def _fused(self) -> bool:
        """Whether both gates are dense and nobody listens to them; a trace does, and yet wants what really runs."""
        gates = (self.input_gates, self.hidden_gates)
        heard = any(gate._forward_hooks or gate._forward_pre_hooks for gate in gates)
        tracing = torch._C._get_tracing_state() is not None
        return all(type(gate) is nn.Linear for gate in gates) and (tracing or not heard)

    def _weights(self) -> tuple[Tensor, ...]:
        bias = self.input_gates.bias
        return (self.input_gates.weight, self.hidden_gates.weight, bias, torch.zeros_like(bias))

    def _packed(self, inputs: Tensor, state: tuple[Tensor, Tensor], lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        order, back = cast(Tensor, packed.sorted_indices), cast(Tensor, packed.unsorted_indices)
        start = tuple(part.index_select(1, order) for part in state)
        data, hidden, cell = torch.lstm(
            packed.data, packed.batch_sizes, start, self._weights(), True, 1, 0.0, self.training, False
        )
        outputs, _ = torch._VF._pad_packed_sequence(data, packed.batch_sizes, True, 0.0, inputs.size(1))
        return outputs.index_select(0, back), torch.stack([hidden[0], cell[0]], dim=1).index_select(0, back)

    def _stepped(self, inputs: Tensor, state: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden, cell = state[:, 0], state[:, 1]
        given = self.input_gates(inputs)  # [batch, length, 4 width]
        outputs = []
        for step in range(inputs.size(1)):
            keep, forget, new, show = (given[:, step] + self.hidden_gates(hidden)).chunk(GATES, dim=-1)
            moved = torch.sigmoid(forget) * cell + torch.sigmoid(keep) * torch.tanh(new)
            shown = torch.sigmoid(show) * torch.tanh(moved)
            if lengths is not None:
                real = (step < lengths)[:, None]
                moved, shown = torch.where(real, moved, cell), torch.where(real, shown, hidden)
                outputs.append(torch.where(real, shown, torch.zeros_like(shown)))
            else:
                outputs.append(shown)
            hidden, cell = shown, moved
        return torch.stack(outputs, dim=1), torch.stack([hidden, cell], dim=1)


class BiLstmLayer(nn.Module):
    """Two LSTM layers that read in opposite directions and never see each other (ELMo: Peters et al. 2018, §3.1).

    Input and output are [batch, length, 2 width]: the first half belongs to `ahead`, the second to `back`.

    Args:
        width: of the hidden state of each direction, and of its input.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.ahead = LstmLayer(width, width)
        self.back = LstmLayer(width, width)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """[batch, length, 2 width]; `back` begins at the last real step of each row, so that padding has no effect."""
        ahead, _ = self.ahead(inputs[..., : self.width])
        back, _ = self.back(reversed_steps(inputs[..., self.width :], lengths))
        return torch.cat([ahead, reversed_steps(back, lengths)], dim=-1)


def run_layers(
    layers: nn.ModuleList, inputs: Tensor, states: Tensor | None, lengths: Tensor | None, *, dropout: float
) -> tuple[Tensor, Tensor]:
    """Run `LstmLayer`s one after the other with dropout before each; states are [batch, layers, 2, width]."""
    hidden, ends = inputs, []
    for index, layer in enumerate(layers):
        hidden = functional.dropout(hidden, p=dropout, training=layer.training)
        hidden, end = layer(hidden, None if states is None else states[:, index], lengths)
        ends.append(end)
    return hidden, torch.stack(ends, dim=1)


def reversed_steps(inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """The real steps of each row in opposite order; padding stays where it is."""
    if lengths is None:
        return inputs.flip(1)
    steps = torch.arange(inputs.size(1), device=inputs.device)[None, :]
    places = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)  # [batch, length]
    return inputs.gather(1, places[:, :, None].expand_as(inputs))


class RecurrentModel(PreTrainedModel):  # type: ignore[misc]
    """Fresh gates are uniform in ±1/sqrt(width), as torch's, with forget biases of 1 (Jozefowicz et al. 2015, §2.2).

    Other matrices and embeddings are normal with `config.initializer_range`.
    """

    base_model_prefix = "model"

    def get_input_embeddings(self) -> nn.Module:
        """The embedding table."""
        table: nn.Module = self.model.embed_tokens
        return table

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another embedding in place."""
        self.model.embed_tokens = value

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LstmLayer):
            bound = module.width**-0.5
            for gates in (module.input_gates, module.hidden_gates):
                init.uniform_(gates.weight, -bound, bound)
            bias = module.input_gates.bias
            if not getattr(bias, "_is_hf_initialized", False):  # a part of a tensor does not say that it was loaded
                init.zeros_(bias)
                init.ones_(bias[module.width : 2 * module.width])

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        """As for transformers' own models: for others it passes over modules whose parameters are all inside others."""
        super()._initialize_weights(module)


def lengths_of(attention_mask: Tensor | None) -> Tensor | None:
    """Real tokens of each row, [batch]; padding must be on the right. None if there is no mask."""
    return None if attention_mask is None else attention_mask.long().sum(dim=1)
