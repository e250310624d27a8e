"""Latency at other lengths and batch sizes: one short look each, for the curve and not for ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import ModelError
from bench.base.statistics import median
from bench.measures.timing.pairs import Pairs, observed
from bench.measures.timing.steady import Clocks, Side, time_briefly

if TYPE_CHECKING:
    from bench.spec.setting import Measuring

Sides = Callable[[int, int], tuple[Side, Side]]


class SweepPoint(NamedTuple):
    """The pairs at one batch size and length, or why there are none."""

    batch_size: int
    length: int
    pairs: Pairs | str


def points(measuring: Measuring) -> list[tuple[int, int]]:
    """(batch size, length) of every point, the throughput batch last, each once."""
    found = [(measuring.batch_size, length) for length in measuring.sweep_lengths]
    found += [(batch, measuring.length) for batch in measuring.sweep_batches]
    return list(dict.fromkeys([*found, (measuring.throughput_batch, measuring.length)]))


def sweep(sides: Sides, measuring: Measuring, *, seed: int, device: str, clocks: Clocks) -> tuple[SweepPoint, ...]:
    """Pairs per point; if a model does not take the length, the reason.

    Args:
        sides: from batch size and length to artifact and reference, ready to be called.
        measuring: names the points and their duration.
        seed: of the order within pairs.
        device: where the models run.
        clocks: of the wall and of the processor.
    """
    found: list[SweepPoint] = []
    for point in points(measuring):
        try:
            artifact, reference = sides(*point)
        except ModelError as error:
            found.append(SweepPoint(*point, str(error)))
            continue
        pairs = time_briefly(
            artifact, reference, seconds=measuring.sweep_seconds, seed=seed, device=device, clocks=clocks
        )
        found.append(SweepPoint(*point, pairs))
    return tuple(found)


def rows(found: Sequence[SweepPoint]) -> list[dict[str, Any]]:
    """The sweep as a record keeps it: one row per point: medians, examples per second, median ratio."""
    kept = []
    for batch, length, pairs in found:
        row: dict[str, Any] = {"batch_size": batch, "length": length}
        if isinstance(pairs, str):
            kept.append({**row, "absent": pairs})
            continue
        mine, theirs = median(pairs.artifact_s), median(pairs.reference_s)
        row |= {"latency_p50_s": mine, "reference_latency_p50_s": theirs, "throughput_eps": batch / mine}
        row |= {"speedup_observed": observed(pairs), "pairs": len(pairs)}
        kept.append(row)
    return kept
