"""The clock side of latency: pinned threads, calls that leave the device idle, warm-up and interleaved pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import UnavailableError
from bench.statistics import median

if TYPE_CHECKING:
    import random

    from torch import Tensor, nn

Clock = Callable[[], float]
Call = Callable[[], object]

WINDOW = 5  # calls whose median is compared when warming up
SETTLED = 0.98  # warm when a window's median is no longer below this share of the window before
MOST_WARM_UP_CALLS = 100
MOST_CALLS_A_BLOCK = 64


class WarmUp(NamedTuple):
    """How a model was warmed up; `steady` is False where the limit ended it while calls still became faster."""

    calls: int
    call_s: float
    steady: bool


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Interleaved timings: seconds of every call, and one ratio of reference over artifact time a pair."""

    artifact_block: int
    reference_block: int
    artifact_s: list[float] = field(default_factory=list)
    reference_s: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


@contextmanager
def pinned_threads(count: int) -> Iterator[None]:
    """Run operators on `count` threads, and give the former number back at the end."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def forward(model: nn.Module, inputs: dict[str, Tensor], device: str) -> Call:
    """One forward pass as a call that returns when the device is idle, so that the clock is right on both sides.

    Raises `UnavailableError` for a kind of device that it cannot wait for.
    """
    import torch

    target = torch.device(device)
    waits: dict[str, Callable[[], None]] = {
        "cuda": lambda: torch.cuda.synchronize(target),
        "mps": torch.mps.synchronize,
        "cpu": _nothing,
    }
    if target.type not in waits:
        raise UnavailableError(f"device '{device}': cannot be waited for, so not timed. Use one of {', '.join(waits)}.")
    wait = waits[target.type]

    def call() -> object:
        output = model(**inputs)
        wait()
        return output

    return call


def time_calls(call: Call, count: int, clock: Clock) -> list[float]:
    """Seconds of each of `count` calls in a row."""
    times = []
    for _ in range(count):
        start = clock()
        call()
        times.append(clock() - start)
    return times


def warm_up(call: Call, *, clock: Clock, limit_s: float) -> WarmUp:
    """Call until the median of five calls no longer falls, or until `limit_s` seconds or 100 calls are spent."""
    before = time_calls(call, WINDOW, clock)
    calls, spent = WINDOW, sum(before)
    while True:
        window = time_calls(call, WINDOW, clock)
        calls, spent = calls + WINDOW, spent + sum(window)
        steady = median(window) >= SETTLED * median(before)
        if steady or spent >= limit_s or calls >= MOST_WARM_UP_CALLS:
            return WarmUp(calls, median(window), steady)
        before = window


def block_size(call_s: float, block_s: float) -> int:
    """Calls that take about `block_s` seconds together: at least 1, at most `MOST_CALLS_A_BLOCK`."""
    return min(MOST_CALLS_A_BLOCK, max(1, math.ceil(block_s / call_s)) if call_s > 0 else MOST_CALLS_A_BLOCK)


def interleave(
    artifact: Call,
    reference: Call,
    *,
    blocks: tuple[int, int],
    pairs: int,
    seconds: float,
    order: random.Random,
    clock: Clock,
) -> Pairs:
    """Time artifact and reference in turns until there are `pairs` pairs and `seconds` seconds have passed.

    A pair is one block of calls of each, in random order, so that drift of the machine falls on both alike and
    cancels in their ratio (mean call of the reference's block over mean call of the artifact's).

    Args:
        artifact: one call of the artifact.
        reference: one call of the reference.
        blocks: calls in a block of the artifact and of the reference; blocks of some milliseconds keep the caches
            that the other model left behind from deciding.
        pairs: least number of pairs.
        seconds: least duration.
        order: decides which of the two comes first within a pair.
        clock: seconds that only grow.
    """
    result = Pairs(artifact_block=blocks[0], reference_block=blocks[1])
    start = clock()
    while len(result.ratios) < pairs or clock() - start < seconds:
        if order.random() < 0.5:
            mine = time_calls(artifact, blocks[0], clock)
            theirs = time_calls(reference, blocks[1], clock)
        else:
            theirs = time_calls(reference, blocks[1], clock)
            mine = time_calls(artifact, blocks[0], clock)
        result.artifact_s.extend(mine)
        result.reference_s.extend(theirs)
        result.ratios.append((sum(theirs) / len(theirs)) / (sum(mine) / len(mine)))
    return result


def _nothing() -> None:
    """The CPU runs operators before the call returns: there is nothing to wait for."""
