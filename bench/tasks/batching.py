"""Batches with little padding: features of similar length together, each padded to its longest."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bench.tasks.features import IGNORED, Batch, Feature

if TYPE_CHECKING:
    from torch import Tensor

_POOL = 50  # batches' worth of features that are shuffled together before they are sorted by length


def length_batches(
    lengths: Sequence[int], *, budget_tokens: int | None = None, batch_size: int | None = None, seed: int | None = None
) -> list[list[int]]:
    """Positions of `lengths` in batches of similar length; every position is in exactly one batch.

    Args:
        lengths: tokens of each feature; see `Feature.tokens`.
        budget_tokens: most padded tokens per batch (count times longest); a longer feature is a batch of its own.
        batch_size: features per batch, as an alternative to `budget_tokens`; all but one batch have exactly as many.
        seed: None for one sorted order, longest first; else features are shuffled, sorted within pools of 50
            batches only, and the batches shuffled, so that training sees other batches for another seed.
    """
    if (budget_tokens is None) == (batch_size is None):
        raise ValueError("give either budget_tokens or batch_size")
    if seed is None:
        order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        return list(_cut(order, lengths, budget_tokens, batch_size))
    generator = random.Random(seed)
    order = list(range(len(lengths)))
    generator.shuffle(order)
    longest = max(lengths, default=1)
    pool = _POOL * (batch_size or max(1, (budget_tokens or 1) // longest))
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        rows = sorted(order[start : start + pool], key=lambda row: -lengths[row])
        batches.extend(_cut(rows, lengths, budget_tokens, batch_size))
    generator.shuffle(batches)
    return batches


def collate(features: Sequence[Feature], *, pad_id: int, rows: Sequence[int] | None = None) -> Batch:
    """One padded batch of `features`, or of those at the positions `rows` of it.

    Token ids are padded with `pad_id`, every other input with 0, on the right. Targets become int64 if all are
    whole numbers and float32 otherwise; lists of them, one for each token or candidate, are padded with -100. All
    features must have the same inputs and the same targets, and all of them candidates or none.
    """
    chosen = list(range(len(features))) if rows is None else list(rows)
    picked = [features[row] for row in chosen]
    counts = [feature.candidates for feature in picked]
    groups = tuple(count for count in counts if count is not None)
    if groups and len(groups) < len(picked):
        raise ValueError("some features of the batch have candidates and others do not")

    def lists(name: str) -> list[Any]:
        found = [feature.inputs[name] for feature in picked]
        return [candidate for values in found for candidate in values] if groups else found

    inputs = {name: _padded(lists(name), pad_id if name.endswith("input_ids") else 0) for name in picked[0].inputs}
    targets = {name: _targets([feature.targets[name] for feature in picked]) for name in picked[0].targets}
    return Batch(inputs, targets, chosen, groups or None)


def _cut(
    rows: Sequence[int], lengths: Sequence[int], budget_tokens: int | None, batch_size: int | None
) -> Iterable[list[int]]:
    """Slices of `rows` (longest first), each within the budget or of the batch size."""
    start = 0
    while start < len(rows):
        fitting = batch_size or max(1, (budget_tokens or 1) // max(1, lengths[rows[start]]))
        yield list(rows[start : start + fitting])
        start += fitting


def _targets(found: Sequence[int | float | list[int]]) -> Tensor:
    """One number per row, or rows of numbers for tokens."""
    import torch

    lists = [each for each in found if isinstance(each, list)]
    return _padded(lists, IGNORED) if lists else torch.tensor(found)


def _padded(lists: Sequence[Sequence[int]], fill: int) -> Tensor:
    """The `lists` as the rows of one int64 tensor [count, longest], filled up with `fill`."""
    import numpy as np
    import torch

    longest = max(map(len, lists))
    table = np.full((len(lists), longest), fill, dtype=np.int64)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return torch.from_numpy(table)
