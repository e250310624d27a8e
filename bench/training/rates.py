"""Learning rates that differ between the layers of a model."""

from __future__ import annotations

from typing import Any

from torch import nn
from typing_extensions import override

from bench.models.adapter import adapter_for
from bench.training.hooks import Hook, TrainState


class SlowerBelow(Hook):
    """Multiplies the learning rate of everything that is in no layer from `layer` on.

    That is the layers below, of every stack, and the embeddings; of the heads too, which nothing trains unless a term
    reads the outputs. A layer that runs in several positions counts as the highest of them.

    Args:
        model: trains.
        layer: the lowest layer with the full rate, from 1.
        factor: of the others.
    """

    def __init__(self, model: nn.Module, layer: int, *, factor: float) -> None:
        adapter = adapter_for(model)
        upper = {
            id(parameter)
            for stack in adapter.stacks(model)
            for each in adapter.layers(model, stack)[max(layer, 1) - 1 :]
            for parameter in each.parameters()
        }
        self._lower = {id(parameter) for parameter in model.parameters()} - upper
        self._factor = factor
        self._slow: list[dict[str, Any]] = []

    @override
    def before_step(self, state: TrainState) -> None:
        if not state.step:
            self._split(state)
        for group in self._slow:
            group["lr"] *= self._factor  # the loop sets every group's rate anew before each step

    def _split(self, state: TrainState) -> None:
        """Give slow parameters groups of their own, before the optimizer has any state."""
        for group in list(state.optimizer.param_groups):
            slow = [parameter for parameter in group["params"] if id(parameter) in self._lower]
            if slow:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in self._lower]
                state.optimizer.add_param_group({**group, "params": slow})
                self._slow.append(state.optimizer.param_groups[-1])
