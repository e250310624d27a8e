"""Two models timed together: warmed up, then timed in pairs until the timing is stable or patience ends."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.measures.timing.calls import Call, Clock, Timed, WarmUp, block_size, lapped, warm_up
from bench.measures.timing.pairs import Pairs, SpeedUp, interleave, speed_up

if TYPE_CHECKING:
    from torch import nn

BLOCK_S = 0.004  # one model's turn in a pair, unless a single call is longer
WARM_UP_LIMIT_S = 3.0
UNCERTAIN = 0.04  # widest interval, as a share of the speed-up, at which timing may end
BRIEF_PAIRS = 5
SLICE_S = 2.0  # seconds of pairs between two looks at whether the machine has settled


class Side(NamedTuple):
    """One model and a call of it on fixed inputs; it may run several of them, whose number is `parts` in a pair."""

    model: nn.Module
    call: Call
    parts: int = 1


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Wall-clock time, and the time this thread had a processor; equal if the latter says nothing."""

    wall: Clock = time.perf_counter
    processor: Clock = time.thread_time

    def on(self, device: str, threads: int) -> Clocks:
        """These clocks if one thread on a CPU does the work; else the processor's clock is the wall clock.

        With more threads or a GPU the calling thread waits for others: that it does not run means nothing.
        """
        return self if device == "cpu" and threads == 1 else Clocks(wall=self.wall, processor=self.wall)


class Steady(NamedTuple):
    """What timing two models gave, in seconds of one part; `blocks` are calls in a block of artifact and reference."""

    pairs: Pairs
    result: SpeedUp
    artifact: WarmUp
    reference: WarmUp
    blocks: tuple[int, int]


def time_steadily(
    artifact: Side,
    reference: Side,
    *,
    pairs: int,
    seconds: float,
    patience_s: float,
    seed: int,
    device: str,
    clocks: Clocks,
    width: float = UNCERTAIN,
) -> Steady:
    """Time two models in interleaved pairs.

    After `pairs` pairs and `seconds` seconds it ends as soon as the speed-up counts and its interval is at most
    `width` of it wide; else pairs are added until `patience_s` seconds have been spent in all.
    """
    warm = [warm_up(side.call, clock=clocks.wall, limit_s=WARM_UP_LIMIT_S) for side in (artifact, reference)]
    blocks = (block_size(warm[0].call_s, BLOCK_S), block_size(warm[1].call_s, BLOCK_S))
    with ExitStack() as stack:
        mine, theirs = (
            stack.enter_context(lapped(side.model, side.call, clock=clocks.wall, device=device))
            for side in (artifact, reference)
        )
        found, result = until_settled(
            mine,
            theirs,
            blocks=blocks,
            pairs=pairs,
            seconds=seconds,
            patience_s=patience_s,
            seed=seed,
            clocks=clocks,
            width=width,
        )
    parts = artifact.parts
    return Steady(found.shared_by(parts), result.shared_by(parts), warm[0], warm[1], blocks)


def until_settled(
    artifact: Timed,
    reference: Timed,
    *,
    blocks: tuple[int, int],
    pairs: int,
    seconds: float,
    patience_s: float,
    seed: int,
    clocks: Clocks,
    slice_s: float = SLICE_S,
    width: float = UNCERTAIN,
) -> tuple[Pairs, SpeedUp]:
    """Interleaved pairs of two warm calls with their speed-up; when it ends, see `time_steadily`.

    `blocks` are calls in a block of each, `slice_s` the seconds of pairs between two looks.
    """
    import numpy as np

    order, found, start = random.Random(seed), Pairs(), clocks.wall()
    least_s = seconds
    while True:
        found = interleave(
            artifact,
            reference,
            blocks=blocks,
            pairs=pairs,
            seconds=least_s,
            order=order,
            clock=clocks.wall,
            cpu_clock=clocks.processor,
            into=found,
        )
        result = speed_up(found, generator=np.random.default_rng(seed))
        sure = result.invalid is None and result.ratio.relative_width <= width
        if sure or clocks.wall() - start >= patience_s:
            return found, result
        least_s = min(slice_s, patience_s)


def time_briefly(artifact: Side, reference: Side, *, seconds: float, seed: int, device: str, clocks: Clocks) -> Pairs:
    """A short look at two models: at least `BRIEF_PAIRS` pairs of single calls and `seconds` seconds.

    Enough for a point of a sweep; the machine need not settle.
    """
    with ExitStack() as stack:
        timed = []
        for side in (artifact, reference):
            side.call()
            timed.append(stack.enter_context(lapped(side.model, side.call, clock=clocks.wall, device=device)))
        found = interleave(
            timed[0],
            timed[1],
            blocks=(1, 1),
            pairs=BRIEF_PAIRS,
            seconds=seconds,
            order=random.Random(seed),
            clock=clocks.wall,
            cpu_clock=clocks.processor,
        )
    return found.shared_by(artifact.parts)


def summary(result: SpeedUp) -> dict[str, Any]:
    """How the pairs went, as a record keeps it."""
    return {
        "pairs_measured": result.measured,
        "pairs_dropped": result.dropped,
        "flatness": result.flatness,
        "verdict": f"invalid: {result.invalid}" if result.invalid else "valid",
    }
