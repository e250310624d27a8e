"""The best stretch of context tokens under a start and an end score per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

_N_BEST = 20
_LONGEST_ANSWER = 30


class Span(NamedTuple):
    """A stretch of the context: its characters [start, end) and the sum of its two logits."""

    start: int
    end: int
    score: float


def best_span(start: Any, end: Any, offsets: Sequence[tuple[int, int] | None]) -> Span | None:
    """The span of at most 30 tokens with the largest sum of start and end score; None if there is no context.

    The 20 best starts are paired with the 20 best ends, both among context tokens (Devlin et al. 2019 and its
    run_squad.py look for them among all tokens and drop the others, so they consider fewer). Where none of these
    pairs is a stretch, all are searched: SQuAD v1 has no question without answer.

    Args:
        start: scores [length] as a numpy array; `end`: the same.
        offsets: the characters of each token in the context, None outside it.
    """
    import numpy as np

    tokens = [index for index, span in enumerate(offsets) if span is not None]
    spans = [span for span in offsets if span is not None]
    if not spans:
        return None
    starts, ends = start[tokens].astype(np.float64), end[tokens].astype(np.float64)
    best = _best_pair(starts, ends, _top(starts), _top(ends))
    if best is None:
        every = np.arange(len(tokens))
        best = _best_pair(starts, ends, every, every)
    if best is None:
        return None
    return Span(spans[best[0]][0], spans[best[1]][1], float(starts[best[0]] + ends[best[1]]))


def _top(scores: Any) -> Any:
    """Positions of the 20 largest scores, best first; earlier positions first among equals."""
    import numpy as np

    if len(scores) > 2 * _N_BEST:
        edge = np.partition(scores, len(scores) - _N_BEST)[len(scores) - _N_BEST]
        near = np.flatnonzero(scores >= edge)
        return near[np.argsort(-scores[near], kind="stable")][:_N_BEST]
    return np.argsort(-scores, kind="stable")[:_N_BEST]


def _best_pair(starts: Any, ends: Any, first: Any, last: Any) -> tuple[int, int] | None:
    """The pair of positions with the largest sum that is a stretch of 1 to 30 tokens."""
    import numpy as np

    width = last[None, :] - first[:, None] + 1
    sums = np.where((width >= 1) & (width <= _LONGEST_ANSWER), starts[first][:, None] + ends[last][None, :], -np.inf)
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return (int(first[row]), int(last[column])) if np.isfinite(sums[row, column]) else None
