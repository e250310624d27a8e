"""Rounds: the same pair timed in several fresh processes, and the one speed-up that they say together.

Within a process the models lie where they lie in memory, and all its pairs share that. Another process gives another
ratio, so an interval over the pairs of one process is too narrow; benchmarks/README.md has the evidence.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from bench.base.statistics import Interval, over_seeds
from bench.measures.timing.pairs import Pairs, SpeedUp
from bench.measures.timing.steady import UNCERTAIN
from bench.measures.timing.watch import Seen

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded
    from bench.spec.setting import Measuring

T = TypeVar("T")

LEAST_VALID = 0.6  # share of the rounds that must count
SLOWER = 1.10  # both models over their floors in their fastest rounds
_LARGEST_BALLAST = 2**20  # bytes of one block
_MOST_BALLAST = 64  # blocks
_NORMAL = 1.959964  # 97.5 % quantile of the normal distribution


class Plan(NamedTuple):
    """What one round is to do: its part of the pairs, seconds and patience of all rounds.

    `width` is how wide its own interval may be, as a share of its ratio, for all rounds together to be sure.
    """

    pairs: int
    seconds: float
    patience_s: float
    width: float


class Round(NamedTuple):
    """What one process found: its pairs, their speed-up, and how the machine was."""

    pairs: Pairs
    result: SpeedUp
    seen: Seen


def names(count: int) -> tuple[str, ...]:
    """The names of `count` rounds, in the order of time."""
    return tuple(f"process-{number}" for number in range(count))


def number_of(name: str) -> int:
    """The place of the round called `name`, from 0; the seed of what differs between processes on purpose."""
    return int(name.removeprefix("process-"))


def share_of(measuring: Measuring) -> Plan:
    """One round's share; at least 5 pairs."""
    rounds = measuring.processes
    return Plan(
        pairs=max(5, math.ceil(measuring.pairs / rounds)),
        seconds=measuring.seconds / rounds,
        patience_s=measuring.patience_seconds / rounds,
        width=UNCERTAIN * math.sqrt(rounds),
    )


@contextmanager
def laid_out(seed: int) -> Iterator[None]:
    """Hold blocks of memory of random sizes, so that what is allocated meanwhile lies elsewhere for another `seed`.

    Where a model lies decides which cache lines and pages its weights share, and for whoever runs it that is chance.
    """
    import torch

    draws = random.Random(seed)
    blocks = [torch.empty(draws.randrange(1, _LARGEST_BALLAST), dtype=torch.uint8) for _ in range(_MOST_BALLAST)]
    ballast = [block for block in blocks if draws.random() < 0.5]  # the others leave holes
    del blocks
    try:
        yield
    finally:
        ballast.clear()


def load_apart(directories: Sequence[Path], load: Callable[[Path], Loaded], *, seed: int) -> list[Loaded]:
    """The models in `directories`, loaded in an order that `seed` decides."""
    order = random.Random(seed).sample(range(len(directories)), len(directories))
    found = {index: load(directories[index]) for index in order}
    return [found[index] for index in range(len(directories))]


def told(rounds: Sequence[T | str]) -> tuple[list[T], list[str]]:
    """The rounds that gave something, and the reasons of those that did not."""
    return [each for each in rounds if not isinstance(each, str)], [each for each in rounds if isinstance(each, str)]


def together(rounds: Sequence[SpeedUp]) -> SpeedUp:
    """One speed-up of all rounds: the geometric mean of their ratios, with an interval that knows how they differ.

    The 95 % interval is Student's t over the logarithms of the rounds' ratios; if the rounds agree by chance better
    than their own pairs allow, it is that of the pairs. One round alone has the interval of its pairs. Both floors are
    geometric means too, so that their quotient is the ratio.

    A round counts if it is valid and if not both models were slower in it than in their fastest rounds, beyond
    `SLOWER`: else another load was there all the time that it lasted, which its own pairs cannot show. Invalid, with
    the reason, if fewer than `LEAST_VALID` of the rounds count.

    Raises `ValueError` for no round at all.
    """
    if not rounds:
        raise ValueError("no round to join")
    if len(rounds) == 1:
        return rounds[0]
    reasons = _reasons(rounds)
    valid = [each for each, reason in zip(rounds, reasons, strict=True) if reason is None]
    enough = len(valid) >= max(2, LEAST_VALID * len(rounds))
    used = valid if enough else list(rounds)
    first = next((reason for reason in reasons if reason is not None), None)
    return SpeedUp(
        ratio=_ratio(used),
        artifact_s=statistics.geometric_mean(each.artifact_s for each in used),
        reference_s=statistics.geometric_mean(each.reference_s for each in used),
        flatness=max(each.flatness for each in used),
        measured=sum(each.measured for each in rounds),
        dropped=sum(each.dropped for each in rounds),
        invalid=None if enough else f"in {len(rounds) - len(valid)} of {len(rounds)} processes: {first}",
    )


def spread(values: Sequence[float]) -> float | None:
    """By what factor up and down the middle of positive values, one per process, is uncertain; None for one value.

    exp of the half-width of the 95 % t interval over the values' logarithms.
    """
    found = over_seeds([math.log(value) for value in values])
    return None if found is None else math.exp(found.high - found.middle)


def _reasons(rounds: Sequence[SpeedUp]) -> list[str | None]:
    """Why each round does not count; None if it does."""
    settled = [each for each in rounds if each.invalid is None]
    if not settled:
        return [each.invalid for each in rounds]
    fastest = (min(each.artifact_s for each in settled), min(each.reference_s for each in settled))

    def reason(each: SpeedUp) -> str | None:
        slower = min(each.artifact_s / fastest[0], each.reference_s / fastest[1])
        if each.invalid is not None or slower <= SLOWER:
            return each.invalid
        return (
            f"both models took at least {slower - 1:.0%} longer than in their fastest processes; the limit is "
            f"{SLOWER - 1:.0%}. Other programs use the same cores or caches. Close them and measure again"
        )

    return [reason(each) for each in rounds]


def _ratio(rounds: Sequence[SpeedUp]) -> Interval:
    logs = [math.log(each.ratio.middle) for each in rounds]
    between = over_seeds(logs) or Interval(logs[0], logs[0], logs[0])
    within = [(math.log(each.ratio.high) - math.log(each.ratio.low)) / (2 * _NORMAL) for each in rounds]
    pooled = _NORMAL * math.sqrt(sum(error**2 for error in within)) / len(rounds)
    half = max(between.high - between.middle, pooled)
    return Interval(math.exp(between.middle), math.exp(between.middle - half), math.exp(between.middle + half))
