"""What a run tells those who watch it: one event at a time, and how it went in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bench.base.stopwatch import Spans
from bench.plan.cell import Cell
from bench.plan.steps import Phase


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something a person who watches wants to know: a step started, moved on, or a cell ended."""

    kind: Literal["skipped", "started", "progress", "recorded", "failed"]
    cell: Cell
    phase: Phase | None = None
    text: str = ""
    share: float = 0.0


@dataclass(kw_only=True)
class Summary:
    """How a run went: counts of cells, and seconds by activity over all children."""

    recorded: int = 0
    skipped: int = 0
    failed: int = 0
    spans: Spans = field(default_factory=Spans)
    busy_s: float = 0.0
    idle_s: float = 0.0

    @property
    def other_s(self) -> float:
        """Seconds that were none of the named activities: starting, loading, saving, waiting."""
        return self.busy_s - sum(self.spans) + self.idle_s
