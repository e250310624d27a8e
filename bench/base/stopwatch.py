"""Seconds by activity, for the split that a run prints at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

Activity = Literal["training", "evaluating", "measuring"]


class Spans(NamedTuple):
    """Seconds by activity in one child, or in several together; encoding of training examples counts as training."""

    training: float = 0.0
    evaluating: float = 0.0
    measuring: float = 0.0

    def plus(self, other: Spans) -> Spans:
        """Both together."""
        return Spans(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Stopwatch:
    """Adds up the seconds of training, evaluating and measuring in one child."""

    def __init__(self) -> None:
        self.spans = Spans()

    def add(self, activity: Activity, seconds: float) -> None:
        """Add `seconds` to `activity`."""
        self.spans = self.spans.plus(Spans(**{activity: seconds}))

    def time(self, activity: Activity, work: Callable[[], Any]) -> Any:
        """What `work` returns; its seconds are added to `activity`."""
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.add(activity, time.perf_counter() - started)
