"""The objective of a model with exits: the given objective at every exit, weighted, and their diversity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import TrainingError
from bench.layers.exits import exits_of
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.hooks import Hook, TrainState
from bench.training.objective import Objective, Term

Weights = Callable[[int, int], list[float]]  # of the exits after each layer, from their number and the training step


class EveryExit(Hook, Term):
    """An objective at each exit of a model, the last one included, as one weighted sum.

    What the objective says of the model's outputs, of the labels or a teacher's logits, it says of those of each exit;
    terms that listen to layers are there once. As a hook it counts the steps.

    Args:
        inner: the objective of one exit.
        weights: of every exit by number of exits and step; an exit of weight 0 is not computed.
        diversity_weight: how much of `diversity` is taken off; 0 leaves it out.
    """

    def __init__(self, inner: Objective, weights: Weights, *, diversity_weight: float = 0.0) -> None:
        here = [(weight, term) for weight, term in inner.terms if weight and term.of_outputs]
        self._each = Objective(terms=tuple(here))
        self._once = tuple((weight, term) for weight, term in inner.terms if weight and not term.of_outputs)
        self._weights = weights
        self._diversity = diversity_weight
        self._step = 0

    @override
    def before_step(self, state: TrainState) -> None:
        self._step = state.step

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """Raises `TrainingError` for a model without exits, or an objective that says nothing of outputs."""
        exits = exits_of(model)
        if exits is None:
            raise TrainingError(f"{type(model).__name__} has no exits to train")
        if not self._each.terms:
            raise TrainingError("exits need a term of the outputs: give terms.labels or terms.logits a weight")
        said = [*exits.taught(), outputs.logits]
        parts = [
            weight * self._each.loss(model, batch, type(outputs)(logits=logits), kind)
            for weight, logits in zip(self._weights(len(said), self._step), said, strict=True)
            if weight
        ]
        parts += [weight * term.loss(model, batch, outputs, kind) for weight, term in self._once]
        total = sum(parts[1:], start=parts[0])
        return total - self._diversity * diversity(said) if self._diversity else total


def diversity(said: list[Tensor]) -> Tensor:
    """How far exits are from those before them: for each from the second on its least cross-entropy to one, the mean.

    Of exit j and an example it is min over i < j of -sum_c p_i(c) log p_j(c), in nats, with no gradient to the earlier
    exit i; the mean is over the batch and over all exits, the first with 0. The equation of Sun et al. 2021 could not
    be read; this form is ours.

    Args:
        said: the logits [batch, classes] of every exit in order.
    """
    logs = [logits.float().log_softmax(dim=-1) for logits in said]
    total = logs[0].new_zeros(())
    for later in range(1, len(logs)):
        crossed = [-(logs[early].detach().exp() * logs[later]).sum(dim=-1) for early in range(later)]
        total = total + torch.stack(crossed).amin(dim=0).mean()
    return total / len(logs)
