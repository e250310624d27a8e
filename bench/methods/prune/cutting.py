"""Cutting units while the model trains: the hooks of the schedules "gradual" and "ramp"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.training.hooks import Hook, TrainState
from bench.training.masks import MaskHook

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning

SLOPE = 1.5  # of the ramp over the start, phi / theta


class Holding(Hook):
    """Keeps removed weights fixed; subclasses cut before a step and then call `hold`."""

    def __init__(self, pruning: Pruning) -> None:
        self._pruning = pruning
        self._holds = MaskHook({}, {})

    def hold(self) -> None:
        """From now on hold the masks of the pruning as they are."""
        masks = self._pruning.element_masks()
        self._holds = MaskHook(self._pruning.parameters, masks, anchors=self._pruning.anchors)

    @override
    def after_backward(self, state: TrainState) -> None:
        self._holds.after_backward(state)

    @override
    def after_step(self, state: TrainState) -> None:
        self._holds.after_step(state)


class Cutting(Holding):
    """Cuts every so many steps along a curve from (step, total steps) to the removed share."""

    def __init__(self, pruning: Pruning, curve: Callable[[int, int], float], *, every: int) -> None:
        super().__init__(pruning)
        self._curve = curve
        self._every = every

    def before_step(self, state: TrainState) -> None:
        """Cut if it is time to."""
        wanted = self._curve(state.step, state.total_steps)
        if wanted > self._pruning.sparsity and state.step % self._every == 0:
            self._pruning.cut(wanted)
            self.hold()


@dataclass(frozen=True, kw_only=True)
class Times:
    """The steps at which a threshold starts, gets steeper and stops, start <= ramp <= end."""

    start: int
    ramp: int
    end: int


def threshold(step: int, times: Times, *, q: float) -> float:
    """eps at `step` (Narang et al. 2017, arXiv:1704.05119, Alg. 1); 0 before the start, constant after the end.

    With theta/f = 2 q / (2 (ramp - start) + 3 (end - ramp)), the slope a step, and phi = 1.5 theta, it is
    theta/f (step - start + 1) before the ramp and theta/f (ramp - start + 1) + phi/f (step - ramp + 1) from then on.
    At the end that is q, and what 2.5 more steps add: the formula counts the first step of each part twice.
    """
    start, ramp, end = times.start, times.ramp, times.end
    if step < start:
        return 0.0
    if start == end:
        return q
    theta = 2.0 * q / (2 * (ramp - start) + 3 * (end - ramp))
    if step < ramp:
        return theta * (step - start + 1)
    return theta * (ramp - start + 1) + SLOPE * theta * (min(step, end) - ramp + 1)


class Rising(Holding):
    """Removes units below the threshold of their site while it rises to the site's end in `ends`.

    A threshold is never higher than its end, which the formula exceeds in trainings of few steps. `shares` of the steps
    are gone when the ramp starts, gets steeper and ends; units go every `every` steps, and at the end.
    """

    def __init__(
        self, pruning: Pruning, ends: Mapping[str, float], *, shares: tuple[float, float, float], every: int
    ) -> None:
        super().__init__(pruning)
        self._ends = ends
        self._shares = shares
        self._every = every

    def before_step(self, state: TrainState) -> None:
        """Cut if it is time to: at every so many steps, and at the last one of the ramp."""
        start, ramp, end = (round(share * state.total_steps) for share in self._shares)
        if not start <= state.step <= end or (state.step % self._every and state.step != end):
            return
        times = Times(start=start, ramp=ramp, end=end)
        limits = {name: min(q, threshold(state.step, times, q=q)) for name, q in self._ends.items()}
        self._pruning.keep({name: score > limits[name] for name, score in self._pruning.scores().items()})
        self.hold()
