"""The moments of training at which a method may act, with the hooks for dropped layers and for pondering."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from typing_extensions import override

from bench.base.errors import TrainingError
from bench.layers.halting import HaltingStack
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.objective import Objective, Term


@dataclass(kw_only=True)
class TrainState:
    """What a hook sees: `step` counts from 0 to `total_steps` - 1, and equals `total_steps` when training is over.

    `batch` is the one that the model is run on next or was run on last, None before the first; `kind` gives the task's
    loss and logits, `objective` what is minimised. With these a hook may train a second model in the same step.
    """

    model: nn.Module
    optimizer: AdamW
    step: int
    total_steps: int
    kind: TaskKind
    objective: Objective = field(default_factory=Objective)
    batch: Batch | None = None


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


class DroppingList(nn.ModuleList):
    """A stack whose architecture loops over it once per forward pass, and meets each layer with probability 1 - rate.

    Layers are skipped independently of each other, the hidden state passes to the next layer unchanged, and nothing is
    scaled (Fan et al. 2020, arXiv:1909.11556, §3.2; fairseq's `LayerDropModuleList` does the same). Outside training
    the loop meets all. What asks for the layers in training mode by iterating gets a draw as well.

    Args:
        layers: in the order in which they run; the same module may appear several times.
        rate: probability of each to be left out, in [0, 1).
        draws: decides.
    """

    def __init__(self, layers: Iterable[nn.Module], *, rate: float, draws: torch.Generator) -> None:
        super().__init__(layers)
        self._rate = rate
        self._draws = draws

    def __iter__(self) -> Iterator[nn.Module]:
        """Every layer, or in training those that this pass runs."""
        layers = list(super().__iter__())
        if not self.training:
            return iter(layers)
        stays = torch.rand(len(layers), generator=self._draws) >= self._rate
        return iter([layer for layer, kept in zip(layers, stays.tolist(), strict=True) if kept])


class PonderTerm(Term):
    """Mean over positions of N + R, steps and remainder, of every halting stack (Graves 2016, arXiv:1603.08983, eq. 9).

    As in tensor2tensor's universal_transformer, which weighs it with 0.01; padding does not count.
    """

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """Raises `TrainingError` for a model without a halting stack."""
        costs = [module.ponder() for module in model.modules() if isinstance(module, HaltingStack)]
        if not costs:
            raise TrainingError(f"{type(model).__name__} has no halting stack, so it has no ponder cost")
        return sum(costs[1:], start=costs[0])
