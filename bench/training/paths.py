"""Module replacing: in each step every group of layers runs either as it was or as its one successor."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from bench.training.hooks import Hook, TrainState

if TYPE_CHECKING:
    from bench.models.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class ReplaceSchedule:
    """The linear schedule of BERT-of-Theseus, p_t = min(1, k t + b) (Xu et al. 2020, arXiv:2002.02925, §3.3).

    `start` is b. `full_at` is the share of all steps after which p is 1; the slope k follows from it, so that the
    schedule scales with the training budget.
    """

    start: float
    full_at: float

    def rate(self, step: int, total_steps: int) -> float:
        """The replace rate of `step` (from 0) of `total_steps`, in [0, 1]."""
        rising = self.full_at * total_steps
        if step >= rising:
            return 1.0
        return self.start + (1.0 - self.start) * step / rising


class ReplacingHook(Hook):
    """Draws a path for each step and leaves the model with its successors only.

    Args:
        adapter: of the model that trains.
        groups: the predecessors, one sequence of layers for each successor, in order.
        successors: one layer per group.
        schedule: the replace rate over the steps.
        seed: of the draws.
    """

    def __init__(
        self,
        *,
        adapter: Adapter,
        groups: Sequence[Sequence[nn.Module]],
        successors: Sequence[nn.Module],
        schedule: ReplaceSchedule,
        seed: int,
    ) -> None:
        self._adapter = adapter
        self._pairs = list(zip(groups, successors, strict=True))
        self._schedule = schedule
        self._draws = random.Random(seed)

    def before_step(self, state: TrainState) -> None:
        """Each group is replaced with the probability of this step, independently of the others."""
        rate = self._schedule.rate(state.step, state.total_steps)
        self._adapter.set_layers(state.model, self.path(rate))

    def path(self, rate: float) -> list[nn.Module]:
        """The layers of one draw, in executed order."""
        layers: list[nn.Module] = []
        for group, successor in self._pairs:
            layers.extend([successor] if self._draws.random() < rate else group)
        return layers

    def on_evaluate(self, state: TrainState) -> None:
        """What is used is the successors alone."""
        self._adapter.set_layers(state.model, [successor for _, successor in self._pairs])
