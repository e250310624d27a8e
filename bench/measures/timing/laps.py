"""Laps: a forward pass timed in pieces of about a millisecond, so that a short quiet moment of the machine is seen.

A call of 50 ms is hardly ever undisturbed on a machine that others use, a piece of half a millisecond often is. Pieces
end where a module returns; their sum is the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bench.measures.timing.calls import Call, Clock

if TYPE_CHECKING:
    from torch import nn

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
        model: what is called; anything that is not an `nn.Module` has one lap.
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

    if not isinstance(model, torch.nn.Module):
        return []
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
