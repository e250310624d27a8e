"""Progress of a run: a live line a running child on a terminal, one line a record elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from bench.engine.events import RunEvent
    from bench.engine.runner import Run

_VERBS = {
    "reference": "training the reference for",
    "compress": "compressing",
    "probe": "probing",
    "measure": "measuring",
}


def is_interactive() -> bool:
    """Whether a person watches standard error, on a terminal."""
    return Console(stderr=True).is_terminal


def watch(run: Run, *, quiet: bool = False, events: Iterable[RunEvent] | None = None) -> None:
    """Drive the run to its end and show what happens, unless `quiet`; `events` are those of `run.go` by default."""
    events = run.go() if events is None else events
    if quiet:
        deque(events, maxlen=0)
        return
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(run.suite.name, total=len(run.cells))
        for event in events:
            title = event.cell.title
            if event.kind in ("started", "progress"):
                progress.update(bar, description=_describe(event, title))
            elif event.kind in ("recorded", "failed", "skipped"):
                progress.advance(bar)
                _announce(console, event, title, run)
    if run.summary.skipped:
        console.print(f"{run.summary.skipped} cells were recorded before and are left as they are", highlight=False)


def _describe(event: RunEvent, title: str) -> str:
    share = f" {event.share:.0%}" if event.kind == "progress" else ""
    return f"{_VERBS.get(event.phase or '', '')} {title}{share}"


def _announce(console: Console, event: RunEvent, title: str, run: Run) -> None:
    """One lasting line for every cell that ended now."""
    from rich.markup import escape

    if event.kind == "recorded":
        done = run.summary.recorded + run.summary.skipped
        console.print(f"recorded {escape(title)}  ({done} of {len(run.cells)})", highlight=False)
    elif event.kind == "failed":
        hint = " (run with --retry to try again)" if event.text == "failed before" else ""
        console.print(f"[red]failed[/red]   {escape(title)}: {escape(event.text)}{hint}", highlight=False)
