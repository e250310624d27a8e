"""The moments of training at which a method may act: masks, replaced layers and schedules are hooks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.optim import AdamW


@dataclass(kw_only=True)
class TrainState:
    """What a hook sees: `step` counts from 0 to `total_steps` - 1, and equals `total_steps` when training is over."""

    model: nn.Module
    optimizer: AdamW
    step: int
    total_steps: int


class Hook:
    """Does nothing at each of the four moments; subclasses override those they need."""

    def before_step(self, state: TrainState) -> None:
        """Before the forward pass."""

    def after_backward(self, state: TrainState) -> None:
        """Gradients are there and not yet clipped; those of parameters outside the path are None."""

    def after_step(self, state: TrainState) -> None:
        """The optimizer has changed the parameters."""

    def on_evaluate(self, state: TrainState) -> None:
        """Called when training has ended and the model is in evaluation mode: bring it into its final state."""
