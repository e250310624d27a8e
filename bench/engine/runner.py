"""Cells to records: what is left to do, which child runs when, and what is written when one ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.artifacts.store import Store
from bench.base.errors import BenchError, RecordError
from bench.engine.events import Event, Summary
from bench.engine.processes import Child, Outcome, Report, Work, wait_for
from bench.engine.recording import failure_of, record_of
from bench.plan.cell import Cell, Job, training_part
from bench.plan.steps import Phase, Step, startable, steps_of
from bench.records.machine import describe_machine, machine_id
from bench.records.record import read_failure, write_record, write_text
from bench.records.tables import write_tables
from bench.spec.suite import Suite, Task
from bench.tasks.data import load_data
from bench.tasks.examples import TaskData


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a run reads and writes."""

    results: Path
    store: Store


class Run:
    """One run over the cells of a suite; `go` does what is left and yields events.

    Args:
        jobs: children that train or compress at the same time; measuring always runs alone.
        retry: run cells again that failed by themselves before; killed ones are always run again.
    """

    def __init__(self, suite: Suite, cells: list[Cell], *, places: Places, jobs: int = 1, retry: bool = False) -> None:
        self.suite = suite
        self.cells = cells
        self.summary = Summary()
        self._places = places
        self._jobs = jobs
        self._retry = retry
        self._machine = describe_machine(cells[0].conditions.device) if cells else {}
        self._spans: dict[str, dict[str, float]] = {}
        self._broken: dict[str, tuple[Phase, Outcome]] = {}
        self._probed: dict[str, Any] = {}
        self._known: dict[tuple[str, str], dict[Any, Any]] = {}
        self._last_read: tuple[Task, TaskData] | None = None
        self._running: dict[Child, Step] = {}

    @property
    def machine_id(self) -> str:
        """The id of the machine that this run measures on."""
        return machine_id(self._machine)

    def record_path(self, cell: Cell) -> Path:
        """The cell's record, whether written or not."""
        return self._folder() / f"{cell.slug}.json"

    def failure_path(self, cell: Cell) -> Path:
        """The note on why the cell failed, whether written or not."""
        return self._folder() / f"{cell.slug}.failed.json"

    def go(self) -> Iterator[Event]:
        """Run every cell that has no record yet; the caller may stop at any event and run again later.

        Raises `RecordError` before any work where the results folder cannot be written.
        """
        left = []
        for cell in self.cells:
            if self.record_path(cell).exists():
                self.summary.skipped += 1
                yield Event(kind="skipped", cell=cell)
            elif self._keeps_failing(cell):
                self.summary.failed += 1
                yield Event(kind="failed", cell=cell, text="failed before")
            else:
                left.append(cell)
        if not left:
            return
        self._check_writable()
        try:
            yield from self._work_through(steps_of(left, self._places.store, jobs=self._jobs))
        finally:
            self.stop()

    def make(self) -> Iterator[Event]:
        """Train and compress what the cells need and measure nothing; raises `BenchError` if a step fails."""
        self._check_writable()
        steps = steps_of(self.cells, self._places.store, jobs=self._jobs)
        try:
            yield from self._work_through([step for step in steps if step.phase in ("reference", "compress")])
        finally:
            self.stop()
        for phase, outcome in self._broken.values():
            raise BenchError(f"{phase} failed: {outcome.cause}")

    def stop(self) -> None:
        """End every running child at once."""
        for child in self._running:
            child.stop()
        self._running.clear()

    def _folder(self) -> Path:
        return self._places.results / self.suite.name / self.machine_id

    def _log(self) -> Path:
        return self._places.store.root / "logs" / f"{self.suite.name}.log"

    def _keeps_failing(self, cell: Cell) -> bool:
        path = self.failure_path(cell)
        return path.exists() and not self._retry and not read_failure(path).interrupted

    def _check_writable(self) -> None:
        for folder in (self._folder(), self._log().parent):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / ".writable"
                probe.write_text("bench", encoding="utf-8")
                probe.unlink()
            except OSError as error:
                raise RecordError(
                    f"{folder}: cannot be written: {error.strerror}. Choose other folders with --results and --cache."
                ) from error

    def _work_through(self, waiting: list[Step]) -> Iterator[Event]:
        idle_since = time.perf_counter()
        while waiting or self._running:
            for step in startable(waiting, self._running.values(), jobs=self._jobs):
                waiting.remove(step)
                cause = next((self._broken[need] for need in step.needs if need in self._broken), None)
                if cause is not None:
                    yield from self._fail(step, *cause)
                    continue
                if not self._running:
                    self.summary.idle_s += time.perf_counter() - idle_since
                self._running[self._start(step)] = step
                yield Event(kind="started", cell=step.cell, phase=step.phase)
            wait_for(list(self._running))
            for child, step in list(self._running.items()):
                events: list[Event] = []
                outcome = child.poll(_collector(step, events))
                yield from events
                if outcome is not None:
                    del self._running[child]
                    idle_since = time.perf_counter()
                    yield from self._end(step, outcome)

    def _start(self, step: Step) -> Child:
        threads, alone = self.suite.setting.measuring.threads, step.exclusive or self._jobs == 1
        job = Job(
            cell=step.cell,
            store=self._places.store.root,
            threads=threads if alone else max(1, threads // self._jobs),
            alone=alone,
            data=self._data(step),
            known=self._known.get(_evaluation(step.cell), {}) if step.phase == "measure" else {},
            probe=step.probe,
            probed={name: self._probed[name] for name in step.needs if name in self._probed},
        )
        return Child(_WORK[step.phase], job, log=self._log())

    def _data(self, step: Step) -> TaskData | None:
        """What the step's child needs of the data; the last task read stays in memory for the next step."""
        if step.phase == "probe":
            return None
        if step.phase == "measure":
            return self._read(step.cell.task)
        return training_part(self._read(step.cell.train_task), step.cell.train_task)

    def _read(self, task: Task) -> TaskData:
        if self._last_read is None or self._last_read[0] != task:
            self._last_read = None
            self._last_read = (task, load_data(task, data_dir=self.cells[0].conditions.data_dir))
        return self._last_read[1]

    def _end(self, step: Step, outcome: Outcome) -> Iterator[Event]:
        self.summary.busy_s += outcome.seconds
        if step.phase == "probe" and not outcome.interrupted:
            self._probed[step.id] = outcome.cause or outcome.result["found"]
        if outcome.cause is not None:
            if step.id not in self._probed:
                yield from self._fail(step, step.phase, outcome)
            return
        spans = outcome.result["spans"]
        for activity, seconds in spans.items():
            self.summary.spans[activity] += seconds
        self._spans[step.id] = {**spans, "other": outcome.seconds - sum(spans.values())}
        if step.phase == "measure":
            cell = step.cell
            self._known[_evaluation(cell)] = outcome.result["known"]
            # A child whose result several cells use, such as a probe of their reference, counts for the first of them.
            parts = [self._spans.pop(name) for name in (*step.needs, step.id) if name in self._spans]
            path = self.record_path(cell)
            tables = write_tables(path, [each.tables for each in outcome.result["readings"].values()])
            record = record_of(cell, outcome.result, machine=self._machine, spans=parts, tables=tables)
            write_record(path, record)
            self.failure_path(cell).unlink(missing_ok=True)
            self.summary.recorded += 1
            yield Event(kind="recorded", cell=cell)

    def _fail(self, step: Step, phase: Phase, outcome: Outcome) -> Iterator[Event]:
        """Hand the cause on to the steps that wait for this one; a measuring step, one a cell, notes it."""
        self._broken[step.id] = (phase, outcome)
        if step.phase == "measure":
            text = failure_of(step.cell, phase, outcome).model_dump_json(indent=1)
            write_text(self.failure_path(step.cell), text + "\n")
            self.summary.failed += 1
            yield Event(kind="failed", cell=step.cell, phase=phase, text=outcome.cause or "")


def _evaluation(cell: Cell) -> tuple[str, str]:
    """What the reference's predictions depend on within one run."""
    return (cell.task.name, cell.reference_key)


def _collector(step: Step, events: list[Event]) -> Report:
    def collect(text: str, share: float) -> None:
        events.append(Event(kind="progress", cell=step.cell, phase=step.phase, text=text, share=share))

    return collect


def _train_reference(job: Job, report: Report) -> Any:
    from bench.engine.worker import train_reference

    return train_reference(job, report)


def _compress(job: Job, report: Report) -> Any:
    from bench.engine.worker import compress

    return compress(job, report)


def _measure(job: Job, report: Report) -> Any:
    from bench.engine.measurer import measure

    return measure(job, report)


def _probe(job: Job, report: Report) -> Any:
    from bench.engine.measurer import probe

    return probe(job, report)


_WORK: dict[Phase, Work] = {
    "reference": _train_reference,
    "compress": _compress,
    "probe": _probe,
    "measure": _measure,
}
