"""Checking the answers of a function of texts, each with the number of its example, before they become predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError
from bench.models.label_names import order_of

if TYPE_CHECKING:
    from bench.tasks.examples import Example

_ROUNDING = 1e-3  # of the sum of a row of probabilities


def numbers(said: Any, count: int | None, *, where: str) -> list[float]:
    """`said` as `count` finite numbers (None: any number of them, at least one); raises `ModelError`."""
    row = list(said) if isinstance(said, Sequence) and not isinstance(said, str) else [said]
    wanted = "one or more numbers" if count is None else "one number" if count == 1 else f"{count} numbers"
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in row):
        raise ModelError(f"{where}: expected {wanted}, found {_shown(said)}")
    if not row or (count is not None and len(row) != count):
        raise ModelError(f"{where}: expected {wanted}, found {len(row)}")
    if not all(map(math.isfinite, row)):
        raise ModelError(f"{where}: expected finite numbers, found {_shown(said)}")
    return [float(each) for each in row]


def text(said: Any, *, where: str) -> str:
    """`said` if it is a text; raises `ModelError`."""
    if not isinstance(said, str):
        raise ModelError(f"{where}: expected a text, found {_shown(said)}")
    return said


def texts_said(said: Sequence[Any], examples: Sequence[Example], *, name: str) -> tuple[str, ...]:
    """The text that the function `name` gave for each example; raises `ModelError` for anything else."""
    return tuple(text(each, where=where) for each, where in zip(said, places(name, examples), strict=True))


def label_scores(said: Any, labels: Sequence[str], outputs: Sequence[str], *, where: str) -> list[float]:
    """One number per label of the task, in its order.

    Args:
        said: a table from labels to numbers, or numbers in the order of `outputs`.
        labels: the task's.
        outputs: the names of the numbers in their order; none if they were not told.
        where: the example, for messages.

    Raises:
        ModelError: it is unknown which number is which label, or as `numbers`.
    """
    names = tuple(map(str, said)) if isinstance(said, Mapping) else tuple(outputs)
    row = numbers(list(said.values()) if isinstance(said, Mapping) else said, len(labels), where=where)
    order = order_of(names, labels) if names else None
    if order is None:
        found = f"they are called {', '.join(names)}" if names else "they have no names"
        raise ModelError(
            f"{where}: it is unknown which number is which label of the task ({', '.join(labels)}): {found}. Name "
            f"them in their order, for example --labels {','.join(labels)}, or return a table from labels to numbers."
        )
    return [row[place] for place in order]


def as_logits(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """Scores of classes as logits: probabilities become their logarithms, other numbers stay.

    They are probabilities if in every row none is negative and they add up to 1.
    """
    import numpy as np

    least = float(np.finfo(np.float32).tiny)
    probable = all(min(row) >= 0 and abs(sum(row) - 1) <= _ROUNDING for row in rows)
    return [[math.log(max(each, least)) for each in row] if probable else list(row) for row in rows]


def places(name: str, examples: Sequence[Example]) -> list[str]:
    """How messages call each example: by the function's name, its number from 1, and its id."""
    return [f"{name}: example {row + 1} ({example.uid})" for row, example in enumerate(examples)]


def _shown(said: Any) -> str:
    found = repr(said)
    return f"{type(said).__name__} {found if len(found) <= 80 else found[:77] + '...'}"
