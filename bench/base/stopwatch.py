"""Seconds by activity, for the split that a run prints at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Adds up the seconds of training, evaluating and measuring in one child."""

    def __init__(self) -> None:
        self.spans: dict[str, float] = {"training": 0.0, "evaluating": 0.0, "measuring": 0.0}

    def time(self, activity: str, work: Callable[[], Any]) -> Any:
        """What `work` returns; its seconds are added to `activity`."""
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.spans[activity] += time.perf_counter() - started
