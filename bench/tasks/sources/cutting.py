"""Splits cut out of another one by a stated seed, for data that come without them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from bench.spec.data import SplitOff
from bench.tasks.examples import Example


def cut(
    examples: Sequence[Example], values: Sequence[str | None], plan: SplitOff
) -> tuple[dict[str, tuple[Example, ...]], tuple[str, ...]]:
    """Every new split and what is left of `plan.of`, each in the order of the data, and a note per new split.

    Args:
        examples: of the split that is cut.
        values: what stays together, one value per example; None stays with nothing.
        plan: shares and seed.
    """
    groups: dict[object, list[int]] = {}
    for row, value in enumerate(values):
        groups.setdefault(row if value is None else value, []).append(row)
    order = list(groups.values())
    random.Random(f"{plan.seed}:{plan.of}").shuffle(order)
    chosen: dict[str, list[int]] = {}
    waiting = iter(order)
    for split in sorted(plan.shares):
        wanted, rows = round(plan.shares[split] * len(examples)), chosen.setdefault(split, [])
        while len(rows) < wanted:
            rows += next(waiting)
    chosen[plan.of] = [row for group in waiting for row in group]
    splits = {split: tuple(examples[row] for row in sorted(rows)) for split, rows in chosen.items()}
    together = f", rows with the same {plan.by} together" if plan.by else ""
    notes = tuple(
        f"{split} is {len(splits[split])} of {len(examples)} rows of {plan.of}, cut by seed {plan.seed}{together}"
        for split in sorted(plan.shares)
    )
    return splits, notes
