"""Module replacing: in each step every part of a model runs either as it was or as its one successor."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn
from typing_extensions import override

from bench.layers.sharing import replace_everywhere
from bench.training.hooks import Hook, TrainState

if TYPE_CHECKING:
    from bench.models.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class ReplaceSchedule:
    """The schedules of BERT-of-Theseus (Xu et al. 2020, arXiv:2002.02925, §3.3): p_t = min(1, k t + b), or b, then 1.

    `start` is b. `full_at` is the share of all steps after which p is 1; the slope k follows from it, so that the
    schedule scales with the training budget. With `constant` p is b until then.
    """

    start: float
    full_at: float
    constant: bool = False

    def rate(self, step: int, total_steps: int) -> float:
        """The replace rate of `step` (from 0) of `total_steps`, in [0, 1]."""
        rising = self.full_at * total_steps
        if step >= rising:
            return 1.0
        return self.start if self.constant else self.start + (1.0 - self.start) * step / rising


class Replaceable(ABC):
    """The parts of a model that have a successor each: `count` of them, each set to run as it was or replaced."""

    count: int

    @abstractmethod
    def run(self, replaced: Sequence[bool]) -> None:
        """Let part i run its successor if `replaced[i]`, and as it was otherwise; in place."""


class ReplaceableLayers(Replaceable):
    """Groups of neighbouring layers of one stack, each with one layer as its successor.

    Args:
        model: the one that trains.
        adapter: of the model.
        groups: the predecessors, one sequence of layers for each successor, in order.
        successors: one layer per group.
    """

    def __init__(
        self,
        model: nn.Module,
        adapter: Adapter,
        groups: Sequence[Sequence[nn.Module]],
        successors: Sequence[nn.Module],
    ) -> None:
        self._model = model
        self._adapter = adapter
        self._pairs = list(zip(groups, successors, strict=True))
        self.count = len(self._pairs)

    @override
    def run(self, replaced: Sequence[bool]) -> None:
        layers: list[nn.Module] = []
        for (group, successor), changed in zip(self._pairs, replaced, strict=True):
            layers.extend([successor] if changed else group)
        self._adapter.set_layers(self._model, layers)


class ReplaceableModules(Replaceable):
    """Parts that are several modules each, such as the matrices of an attention; a shared one changes everywhere.

    Args:
        model: the one that trains; it holds the predecessors.
        predecessors: the modules of each part.
        successors: as many modules for each part, in the same order.
    """

    def __init__(
        self,
        model: nn.Module,
        predecessors: Sequence[Sequence[nn.Module]],
        successors: Sequence[Sequence[nn.Module]],
    ) -> None:
        self._model = model
        self._forms = list(zip(predecessors, successors, strict=True))
        self._now = [False] * len(self._forms)
        self.count = len(self._forms)

    @override
    def run(self, replaced: Sequence[bool]) -> None:
        for index, (forms, changed) in enumerate(zip(self._forms, replaced, strict=True)):
            if changed != self._now[index]:
                for now, wanted in zip(forms[self._now[index]], forms[changed], strict=True):
                    replace_everywhere(self._model, now, wanted)
                self._now[index] = changed


class ReplacingHook(Hook):
    """Draws for each step which parts are replaced, and leaves the model with all of them replaced.

    Args:
        parts: what has successors.
        schedule: the replace rate over the steps.
        seed: of the draws.
    """

    def __init__(self, parts: Replaceable, *, schedule: ReplaceSchedule, seed: int) -> None:
        self._parts = parts
        self._schedule = schedule
        self._draws = random.Random(seed)

    def before_step(self, state: TrainState) -> None:
        """Each part is replaced with the probability of this step, independently of the others."""
        rate = self._schedule.rate(state.step, state.total_steps)
        self._parts.run([self._draws.random() < rate for _ in range(self._parts.count)])

    def on_evaluate(self, state: TrainState) -> None:
        """What is used is the successors alone."""
        self._parts.run([True] * self._parts.count)
