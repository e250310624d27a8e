"""The clock side of latency: pinned threads, calls that leave the device idle, laps within a call, and warming up."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import UnavailableError
from bench.base.statistics import median
from bench.runtimes.runtime import EAGER, runtime_of

if TYPE_CHECKING:
    from torch import Tensor, nn

Clock = Callable[[], float]
Call = Callable[[], object]

WINDOW = 5  # calls whose median is compared when warming up
SETTLED = 0.98  # warm when a window's median is no longer below this share of the window before
MOST_WARM_UP_CALLS = 100
MOST_CALLS_A_BLOCK = 64


class WarmUp(NamedTuple):
    """How a model was warmed up; `steady` is False if the limit ended it while calls still became faster."""

    calls: int
    call_s: float
    steady: bool


@contextmanager
def pinned(threads: int) -> Iterator[tuple[int, ...]]:
    """Run operators on `threads` threads, this thread on as many processors; gives their numbers, none if unknown.

    The last of the allowed processors are taken, because systems put interrupts on the first. Both settings are as
    before afterwards; worker threads started in between stay where they are.
    """
    import torch

    before = torch.get_num_threads()
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    chosen = tuple(allowed[-threads:]) if len(allowed) >= threads else ()
    torch.set_num_threads(threads)
    if chosen:
        os.sched_setaffinity(0, chosen)
    try:
        yield chosen
    finally:
        if chosen:
            os.sched_setaffinity(0, allowed)
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
        raise UnavailableError(
            f"device '{device}': cannot be synchronised, so calls cannot be timed. Use one of {', '.join(waits)}."
        )
    wait = waits[target.type]
    wait()  # what came before must not end inside the first call

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


def _nothing() -> None:
    """The CPU runs operators before the call returns: there is nothing to wait for."""


Timed = Callable[[], list[float]]

LAP_S = 0.0005  # shorter pieces would make the hook, a few microseconds, count
_PILOTS = 3
# Modules that run one fused kernel only while nothing is hooked inside them.
_FUSED = ("TransformerEncoderLayer", "MultiheadAttention")


@contextmanager
def lapped(model: Any, call: Call, *, clock: Clock, device: str, lap_s: float = LAP_S) -> Iterator[Timed]:
    """A function that makes one call and returns the seconds of its laps, which add up to the call.

    Elsewhere than on a CPU, where a module returns before its work is done, and for a call shorter than two laps, the
    one lap is the whole call. The model's hooks are as before afterwards.

    Args:
        model: what is called; anything that is not an `nn.Module`, or is run by another runtime, has one lap.
        call: one call of it, warmed up.
        clock: seconds that only grow.
        device: where it runs.
        lap_s: least seconds between two marks.
    """
    marks: list[float] = []
    modules = _chosen(model, call, clock, lap_s) if device == "cpu" else []
    handles = [module.register_forward_hook(lambda *_: marks.append(clock())) for module in modules]

    def timed() -> list[float]:
        marks.clear()
        start = clock()
        call()
        end = clock()
        return [after - before for before, after in pairwise([start, *marks, end])]

    try:
        yield timed
    finally:
        for handle in handles:
            handle.remove()


def _chosen(model: Any, call: Call, clock: Clock, lap_s: float) -> list[nn.Module]:
    """Modules whose ends are at least about `lap_s` apart, by the fastest of three pilot calls at each place."""
    import torch

    if not isinstance(model, torch.nn.Module) or runtime_of(model) != EAGER:
        return []  # a graph has no modules, and a compiled model would be compiled again around hooks
    leaves = [leaf for leaf in _leaves(model) if leaf is not model]
    pilots = [_pilot(leaves, call, clock) for _ in range(_PILOTS)]
    order = [module for module, _ in pilots[0]]
    if any([module for module, _ in pilot] != order for pilot in pilots):
        return []  # another path through the model every time: laps would not match
    steps = [min(pilot[place][1] for pilot in pilots) for place in range(len(order))]
    if sum(steps) < 2 * lap_s:
        return []
    chosen: dict[int, nn.Module] = {}
    since = 0.0
    for module, step in zip(order, steps, strict=True):
        since += step
        if since >= lap_s:
            chosen[id(module)] = module
            since = 0.0
    return list(chosen.values())


def _pilot(leaves: list[nn.Module], call: Call, clock: Clock) -> list[tuple[nn.Module, float]]:
    """Every return of a leaf in one call, with the seconds since the one before."""
    found: list[tuple[nn.Module, float]] = []
    last = 0.0

    def mark(module: nn.Module, *_: object) -> None:
        nonlocal last
        now = clock()
        found.append((module, now - last))
        last = now

    handles = [leaf.register_forward_hook(mark) for leaf in leaves]
    try:
        last = clock()
        call()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if type(module).__name__ in _FUSED:
        yield module
        return
    children = list(module.children())
    if not children:
        yield module
    for child in children:
        yield from _leaves(child)
