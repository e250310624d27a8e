"""Models whose number of executed layers depends on the example: their interface, and the layers at which they exit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bench.base.errors import ModelError
from bench.measures.computation.watching import watched

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.artifacts.artifact import Loaded
    from bench.measures.base.measure import Pair
    from bench.tasks.evaluate import Evaluator

Exits = Mapping[int, int]  # examples by the number of layers that they ran


@runtime_checkable
class DynamicDepth(Protocol):
    """What a model of dynamic depth (early exit, adaptive halting) offers so that it can be counted.

    In a batch each row counts for itself: the layers that it would run alone, though the batch may go on for others.
    With an attribute `adapts` that is false it is of fixed depth after all.
    """

    def executed_layers(self) -> Tensor:
        """Layers that each row of the last call ran before it left, int64 [batch], each at least 1."""

    def leaving_after(self, layers: int) -> AbstractContextManager[object]:
        """While it lasts, every example runs exactly `layers` layers, with the exit decisions that this takes."""


def dynamic_depth(model: nn.Module) -> DynamicDepth | None:
    """What says how deep `model` runs: itself, or the one module in it that does; None for a model of fixed depth."""
    return next(
        (each for each in model.modules() if isinstance(each, DynamicDepth) and getattr(each, "adapts", True)), None
    )


def exits(pair: Pair, side: Loaded) -> Exits | None:
    """After how many layers the examples of all evaluation splits leave the model; None for one of fixed depth.

    An example that is several inputs (span QA's windows) counts once for each.

    Raises:
        ModelError: the model does not report it for every row.
    """
    if dynamic_depth(side.model) is None:
        return None
    found: Counter[int] = Counter()
    for split in pair.task.evaluate:
        found += Counter(_exits_of(pair.evaluator, side, split))
    return dict(sorted(found.items()))


def mean_layers(found: Exits) -> float:
    """Sum of i * m_i over sum of m_i, with m_i examples leaving after layer i."""
    return sum(layers * count for layers, count in found.items()) / sum(found.values())


def _exits_of(evaluator: Evaluator, side: Loaded, split: str) -> Exits:
    return evaluator.remember(
        (side.content_hash, "executed layers", split),
        lambda: dict(Counter(watched(evaluator, side, split, _rows))),
        form=Exits,
    )


def _rows(model: nn.Module, batch: int) -> list[int]:
    dynamic = dynamic_depth(model)
    layers: list[int] = [] if dynamic is None else dynamic.executed_layers().tolist()
    if len(layers) != batch or min(layers, default=0) < 1:
        raise ModelError(
            f"{type(model).__name__}.executed_layers() gave {layers[:8]} for a batch of {batch}: "
            "expected one number per row, each at least 1."
        )
    return layers
