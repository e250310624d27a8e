"""Interleaved pairs: artifact and reference in turns, the ratio without and with disturbance, and whether it counts.

The speed-up is the ratio of two floors. A model's floor is the sum over its laps of the `QUIET` quantile of that lap's
time: the time of a call on this machine without its other users. benchmarks/README.md has the evidence against
medians, minima and processor time of whole calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.statistics import Interval, median
from bench.measures.timing.calls import Clock, Timed

if TYPE_CHECKING:
    import random

    import numpy as np

    Array = np.ndarray[Any, Any]

QUIET = 0.03
FLAT = 1.10  # a settled floor: the 10 % quantile is at most this many times the 2 % quantile, lap by lap
LOST = 0.05  # share of a pair's time off the processor from which it is dropped
LEAST_KEPT = 0.5  # share of the pairs that must be left
RESAMPLES = 1000
_CHUNK = 50


class Turn(NamedTuple):
    """One model's block within a pair: the laps of each call, and the seconds that its thread did not run."""

    laps: tuple[tuple[float, ...], ...]
    lost_s: float

    @property
    def calls(self) -> list[float]:
        """Seconds of each call."""
        return [sum(laps) for laps in self.laps]

    def shared_by(self, count: int) -> Turn:
        """The same if each call was `count` calls: the seconds of one."""
        return Turn(tuple(tuple(lap / count for lap in laps) for laps in self.laps), self.lost_s / count)


@dataclass(kw_only=True)
class Pairs:
    """What interleaving gave, in the order of time; element i of both lists is one pair."""

    artifact: list[Turn] = field(default_factory=list)
    reference: list[Turn] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.artifact)

    def _both(self) -> list[tuple[Turn, Turn]]:
        return list(zip(self.artifact, self.reference, strict=True))

    @property
    def ratios(self) -> list[float]:
        """Reference over artifact, mean call of the block over mean call of the block, one per pair."""
        return [_mean(theirs.calls) / _mean(mine.calls) for mine, theirs in self._both()]

    @property
    def artifact_s(self) -> list[float]:
        """Seconds of every call of the artifact."""
        return [call for turn in self.artifact for call in turn.calls]

    @property
    def reference_s(self) -> list[float]:
        """Seconds of every call of the reference."""
        return [call for turn in self.reference for call in turn.calls]

    def shared_by(self, count: int) -> Pairs:
        """The same if each call was `count` calls: the seconds of one."""
        mine, theirs = ([turn.shared_by(count) for turn in turns] for turns in (self.artifact, self.reference))
        return Pairs(artifact=mine, reference=theirs)

    def undisturbed(self) -> Pairs:
        """The pairs in which both models had the processor all but `LOST` of the time."""
        kept = Pairs()
        for mine, theirs in self._both():
            if all(turn.lost_s <= LOST * sum(turn.calls) for turn in (mine, theirs)):
                kept.artifact.append(mine)
                kept.reference.append(theirs)
        return kept


class SpeedUp(NamedTuple):
    """A paired speed-up: `ratio` of floors with its interval, both floors, and why it does not count, if so.

    `flatness` is the worse of the two models' 10 % over 2 % quantile: near 1 if the floor was reached often.
    """

    ratio: Interval
    artifact_s: float
    reference_s: float
    flatness: float
    measured: int
    dropped: int
    invalid: str | None

    def shared_by(self, count: int) -> SpeedUp:
        """The same if each call was `count` calls: the floors of one."""
        return self._replace(artifact_s=self.artifact_s / count, reference_s=self.reference_s / count)


def interleave(
    artifact: Timed,
    reference: Timed,
    *,
    blocks: tuple[int, int],
    pairs: int,
    seconds: float,
    order: random.Random,
    clock: Clock,
    cpu_clock: Clock,
    into: Pairs | None = None,
) -> Pairs:
    """Time artifact and reference in turns until there are `pairs` pairs and `seconds` seconds have passed.

    A pair is one block of calls of each, in random order, so that drift of the machine falls on both alike.

    Args:
        artifact: makes one call of the artifact and gives its laps.
        reference: the same of the reference.
        blocks: calls in a block of the artifact and of the reference; blocks of some milliseconds keep the caches
            that the other model left behind from deciding.
        pairs: least number of pairs, those in `into` included.
        seconds: least duration of this call.
        order: decides which of the two comes first within a pair.
        clock: seconds that only grow.
        cpu_clock: seconds that this thread had a processor.
        into: earlier pairs, to which these are added.
    """
    found = Pairs() if into is None else into
    start = clock()
    while len(found) < pairs or clock() - start < seconds:
        first_mine = order.random() < 0.5
        mine = _turn(artifact, blocks[0], clock, cpu_clock) if first_mine else None
        theirs = _turn(reference, blocks[1], clock, cpu_clock)
        found.artifact.append(mine or _turn(artifact, blocks[0], clock, cpu_clock))
        found.reference.append(theirs)
    return found


def speed_up(pairs: Pairs, *, generator: np.random.Generator) -> SpeedUp:
    """The ratio of the floors over the undisturbed pairs, with its 95 % bootstrap interval over pairs.

    Invalid, with the reason, if too few pairs are left or a floor was hardly ever reached: then other load on
    the machine was there all the time, and no part of these times is the models' own.
    """
    import numpy as np

    kept = pairs.undisturbed()
    dropped = len(pairs) - len(kept)
    used = kept if len(kept) >= LEAST_KEPT * len(pairs) else pairs
    mine, theirs = _table(used.artifact), _table(used.reference)
    floors = [floor(table.reshape(-1, table.shape[-1])) for table in (mine, theirs)]
    flatness = max(_flatness(table.reshape(-1, table.shape[-1])) for table in (mine, theirs))
    ratios = np.concatenate(list(_resampled(mine, theirs, generator)))
    low, high = np.quantile(ratios, [0.025, 0.975])
    invalid = None
    if used is pairs and dropped:
        invalid = f"other load interrupted {dropped} of {len(pairs)} pairs"
    elif flatness > FLAT:
        invalid = (
            f"the timing never became stable: the fastest tenth of the laps takes {flatness:.2f} times as long as the "
            f"fastest fiftieth; the limit is {FLAT}. Other programs use the same cores. Close them and measure again"
        )
    return SpeedUp(
        ratio=Interval(floors[1] / floors[0], float(low), float(high)),
        artifact_s=floors[0],
        reference_s=floors[1],
        flatness=flatness,
        measured=len(pairs),
        dropped=dropped,
        invalid=invalid,
    )


def floor(laps: Array) -> float:
    """Seconds of an undisturbed call: the sum over laps of the `QUIET` quantile; laps [calls, laps]."""
    import numpy as np

    return float(np.quantile(laps, QUIET, axis=0).sum())


def drift(pairs: Pairs) -> float:
    """How much slower (above 0) or faster both models' floors are in the last third than in the first; 0 if not both.

    A clock rate that falls, or a neighbour that comes, moves both the same way; noise does not.
    """
    third = len(pairs) // 3
    if third < 3:
        return 0.0
    changes = []
    for turns in (pairs.artifact, pairs.reference):
        first, last = _table(turns[:third]), _table(turns[-third:])
        changes.append(floor(last.reshape(-1, last.shape[-1])) / floor(first.reshape(-1, first.shape[-1])) - 1)
    return min(changes, key=abs) if changes[0] * changes[1] > 0 else 0.0


def _turn(timed: Timed, count: int, clock: Clock, cpu_clock: Clock) -> Turn:
    start, cpu_start = clock(), cpu_clock()
    laps = tuple(tuple(timed()) for _ in range(count))
    ran_s = cpu_clock() - cpu_start
    return Turn(laps, max(0.0, clock() - start - ran_s))


def _table(turns: Sequence[Turn]) -> Array:
    """Laps as [turns, calls, laps]; one lap, the whole call, if calls differ in their number of laps."""
    import numpy as np

    lengths = {len(laps) for turn in turns for laps in turn.laps}
    rows = [[laps if len(lengths) == 1 else (sum(laps),) for laps in turn.laps] for turn in turns]
    return np.asarray(rows, dtype=np.float64)


def _flatness(laps: Array) -> float:
    import numpy as np

    return float(np.quantile(laps, 0.10, axis=0).sum() / np.quantile(laps, 0.02, axis=0).sum())


def _resampled(mine: Array, theirs: Array, generator: np.random.Generator) -> Any:
    """Ratios of floors of redrawn pairs, a chunk of resamples at a time."""
    import numpy as np

    count = len(mine)
    for _ in range(0, RESAMPLES, _CHUNK):
        drawn = generator.integers(count, size=(_CHUNK, count))
        floors = []
        for table in (mine, theirs):
            laps = table[drawn].reshape(_CHUNK, -1, table.shape[-1])  # [resamples, calls, laps]
            floors.append(np.quantile(laps, QUIET, axis=1).sum(axis=1))
        yield floors[1] / floors[0]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def observed(pairs: Pairs) -> float:
    """The median of the ratios of all pairs, disturbed ones included: what this machine gave while others used it."""
    return median(pairs.ratios)


def laps_table(processes: Sequence[Pairs]) -> dict[str, list[Any]]:
    """Every call as a row: process, pair, side, seconds off the processor in its block, and its laps."""
    rows: dict[str, list[Any]] = {"process": [], "pair": [], "side": [], "lost_s": [], "lap_s": []}
    for process, pairs in enumerate(processes):
        for side, turns in (("artifact", pairs.artifact), ("reference", pairs.reference)):
            for number, turn in enumerate(turns):
                for laps in turn.laps:
                    for name, value in zip(rows, (process, number, side, turn.lost_s, list(laps)), strict=True):
                        rows[name].append(value)
    return rows


def pooled(processes: Sequence[Pairs]) -> Pairs:
    """The pairs of several processes as one list, in the order of time."""
    return Pairs(
        artifact=[turn for pairs in processes for turn in pairs.artifact],
        reference=[turn for pairs in processes for turn in pairs.reference],
    )
