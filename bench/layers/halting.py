"""Adaptive halting over a stack: each position of the input stops after as many layers as it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import ModelError
from bench.layers.adaptive import AdaptiveStack, in_form_of, real_positions, state_of
from bench.layers.layer import LAYER_KINDS


@LAYER_KINDS.register("halting-stack")
class HaltingStack(AdaptiveStack):
    """Adaptive computation time over the layers of an encoder (Graves 2016; Dehghani et al. 2019, arXiv:1807.03819).

    Before step t the coordinates of position and step are added to the state, H + P_t. A position halts with
    probability p = sigmoid(w (H + P_t) + b); it stops at the first step at which the p of its steps sum to more than
    1 - epsilon, or at the last step, which gets the remainder, so that its weights sum to 1. Its output is the sum of
    its states after each step with these weights, and its state is copied to the steps that others still take. Padding
    never runs.

    Departures from the public code (tensor2tensor, universal_transformer_util.py): there the weights of a position
    that reaches the last step do not sum to 1, the state of a halted position is transformed further, and its default
    ("basic") blends states instead of summing them; the sum here is its "accumulated" form, and Graves's.

    Args:
        width: of the hidden states.
        epsilon: how far below 1 the probabilities may sum when a position stops, in (0, 1).
        adaptive: False runs every layer for every position, and the output is the last state.
        coordinates: whether sinusoids of position and step are added before each step.

    `weight` [1, width] and `bias` [1] are zero until they are filled.
    """

    kind: ClassVar[str] = "halting-stack"
    transient: ClassVar[tuple[str, ...]] = ("_ponder", "weights")

    def __init__(self, width: int, epsilon: float = 0.01, adaptive: bool = True, coordinates: bool = True) -> None:
        super().__init__()
        self.width, self.epsilon, self.adaptive, self.coordinates = width, epsilon, adaptive, coordinates
        self.weight = nn.Parameter(torch.zeros(1, width))
        self.bias = nn.Parameter(torch.zeros(1))
        self.weights: Tensor | None = None  # of the last call outside training, [batch, length, steps]
        self._ponder: Tensor | None = None
        self._known: dict[tuple[int, int, torch.device], Tensor] = {}

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "width": self.width,
            "epsilon": self.epsilon,
            "adaptive": self.adaptive,
            "coordinates": self.coordinates,
        }

    @property
    @override
    def adapts(self) -> bool:
        return self.adaptive

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the stack; the mask is the first of the further arguments, as in every supported encoder."""
        self.refuse_graph()
        layers = self.layers()
        if self.adaptive:
            real = real_positions(args[0] if args else kwargs.get("attention_mask"), hidden)
            return self._until_all_stop(layers[: self._forced], hidden, real, *args, **kwargs)
        for step, layer in enumerate(layers):
            given = layer(self._moved(hidden, step), *args, **kwargs)
            hidden = state_of(given)
        self._steps = torch.full(hidden.shape[:1], len(layers), dtype=torch.int64)
        return in_form_of(given, hidden)

    def _until_all_stop(
        self, layers: Sequence[nn.Module], hidden: Tensor, real: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """Run `layers` until every position of `real` [batch, length] has stopped, at the last one at the latest."""
        state, output, running = hidden, torch.zeros_like(hidden), real
        spent = torch.zeros(hidden.shape[:2], device=hidden.device)
        steps, remainder = torch.zeros_like(spent), torch.zeros_like(spent)
        weights = []
        for step, layer in enumerate(layers):
            moved = self._moved(state, step)
            halt = torch.sigmoid(functional.linear(moved, self.weight, self.bias)).squeeze(-1).float()
            if step == len(layers) - 1:
                ends = running
            elif self._forced:
                ends = torch.zeros_like(running)
            else:
                ends = running & (spent + halt > 1 - self.epsilon)
            weight = torch.where(ends, 1 - spent, halt) * running
            given = layer(moved, *args, **kwargs)
            after = state_of(given)
            state = torch.where(running[..., None], after, state)
            output = output + weight[..., None] * after
            spent, steps = spent + weight, steps + running
            remainder = torch.where(ends, weight, remainder)
            weights.append(weight)
            running = running & ~ends
            if self._forced is None and not bool(running.any()):
                break
        self._steps = steps.detach().amax(dim=1).clamp(min=1).long()
        self._ponder = ((steps + remainder) * real).sum() / real.sum() if self.training else None
        self.weights = None if self.training else torch.stack(weights, dim=-1).detach()
        return in_form_of(given, torch.where(real[..., None], output, hidden).to(hidden.dtype))

    def macs(self, rows: int, steps: int) -> int:
        """Multiply-adds of the halting unit for `rows` positions over `steps` steps; layers count for themselves."""
        return rows * steps * self.width if self.adaptive else 0

    def ponder(self) -> Tensor:
        """Mean over positions of steps + remainder of the last call in training, with a gradient; taken once.

        Only the remainder has a gradient: the number of steps is piecewise constant (Graves 2016, §2.2).
        """
        if self._ponder is None:
            raise ModelError(
                "the halting stack has no ponder cost, because it has not run in training mode since the last read"
            )
        cost, self._ponder = self._ponder, None
        return cost

    def _moved(self, hidden: Tensor, step: int) -> Tensor:
        """The state with its coordinates added, H + P_t."""
        if not self.coordinates:
            return hidden
        key = (hidden.size(1), step, hidden.device)
        if key not in self._known:
            with torch.inference_mode(False):
                self._known[key] = coordinates(hidden.size(1), step, hidden.size(2)).to(hidden.device)
        return hidden + self._known[key].to(hidden.dtype)

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_known": {}}


def coordinates(length: int, step: int, width: int) -> Tensor:
    """P_t [length, width], sinusoids of position i and step t added up (Dehghani et al. 2019, eq. 6 and 7).

    Column 2j holds sin(i / 10000^(2j / width)) + sin(t / 10000^(2j / width)), column 2j + 1 the cosines; both count
    from 1.
    """
    rates = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    place = torch.arange(1, length + 1, dtype=torch.float64)[:, None] * rates
    depth = (step + 1) * rates
    waves = torch.stack([place.sin() + depth.sin(), place.cos() + depth.cos()], dim=-1)
    return waves.reshape(length, -1)[:, :width].float()
