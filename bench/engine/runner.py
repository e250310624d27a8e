"""Cells to records: what is left to do, which child runs when, and what is written when one ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.artifacts.store import Store
from bench.base.errors import BenchError, RecordError
from bench.base.stopwatch import Spans
from bench.engine.child import perform
from bench.engine.events import RunEvent, Summary
from bench.engine.interrupts import uninterrupted
from bench.engine.jobs import (
    CompressJob,
    Job,
    Made,
    Measured,
    MeasureJob,
    Probed,
    ProbeJob,
    TrainJob,
    Unprobed,
)
from bench.engine.processes import Child, Ending, Report, wait_for
from bench.engine.recording import failure_of, record_of
from bench.plan.cell import Cell
from bench.plan.recorded import Recorded
from bench.plan.steps import Phase, Step, startable, steps_of
from bench.records.machine import describe_machine, machine_id
from bench.records.record import read_failure, write_record, write_text
from bench.records.tables import write_tables
from bench.spec.suite import Suite, Task
from bench.tasks.data import load_data
from bench.tasks.evaluate import Remembered
from bench.tasks.examples import write_data


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
        self._spans: dict[str, tuple[Spans, float]] = {}
        self._broken: dict[str, tuple[Phase, Ending]] = {}
        self._probed: dict[str, Probed | Unprobed] = {}
        self._known: dict[tuple[str, str], tuple[Remembered, ...]] = {}
        self._running: dict[Child, Step] = {}
        self._recorded = Recorded(self._folder(), cells)

    @property
    def machine_id(self) -> str:
        """The id of the machine that this run measures on."""
        return machine_id(self._machine)

    def record_path(self, cell: Cell) -> Path:
        """The cell's record, whether written or not."""
        return self._recorded.record(cell)

    def failure_path(self, cell: Cell) -> Path:
        """The note on why the cell failed, whether written or not."""
        return self._recorded.failure(cell)

    def go(self) -> Iterator[RunEvent]:
        """Run every cell that has no record yet; the caller may stop at any event and run again later.

        Raises `RecordError` before any work where the results folder cannot be written.
        """
        left = []
        for cell in self.cells:
            if self.record_path(cell).exists():
                self.summary.skipped += 1
                yield RunEvent(kind="skipped", cell=cell)
            elif self._keeps_failing(cell):
                self.summary.failed += 1
                yield RunEvent(kind="failed", cell=cell, text="failed before")
            else:
                left.append(cell)
        if not left:
            return
        self._check_writable()
        try:
            yield from self._work_through(steps_of(left, self._places.store, jobs=self._jobs))
        finally:
            self.stop()

    def make(self) -> Iterator[RunEvent]:
        """Train and compress what the cells need and measure nothing; raises `BenchError` if a step fails."""
        self._check_writable()
        steps = steps_of(self.cells, self._places.store, jobs=self._jobs)
        try:
            yield from self._work_through([step for step in steps if step.phase in ("reference", "compress")])
        finally:
            self.stop()
        for phase, ending in self._broken.values():
            raise BenchError(f"{phase} failed: {ending.cause}")

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

    def _work_through(self, waiting: list[Step]) -> Iterator[RunEvent]:
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
                self._start(step)
                yield RunEvent(kind="started", cell=step.cell, phase=step.phase)
            wait_for(list(self._running))
            for child, step in list(self._running.items()):
                events: list[RunEvent] = []
                ending = child.poll(_collector(step, events))
                yield from events
                if ending is not None:
                    del self._running[child]
                    idle_since = time.perf_counter()
                    yield from self._end(step, ending)

    def _start(self, step: Step) -> None:
        """Start the step's child and note it, both or neither, so that an interrupt leaves no child unstopped."""
        job = self._job(step).write()
        with uninterrupted():
            self._running[Child(perform, job, log=self._log())] = step

    def _job(self, step: Step) -> Job:
        """What the step's child is given."""
        cell, store = step.cell, self._places.store.root
        if step.probe is not None:
            data = self._data_of(cell.task, cell.data_entry)
            return ProbeJob(cell=cell, store=store, data=data, probe=step.probe)
        threads, alone = self.suite.setting.measuring.threads, step.exclusive or self._jobs == 1
        share = threads if alone else max(1, threads // self._jobs)
        if step.phase == "measure":
            known = self._known.get(_evaluation(cell), ())
            probed = tuple(self._probed[name] for name in sorted(step.needs) if name in self._probed)
            data = self._data_of(cell.task, cell.data_entry)
            return MeasureJob(cell=cell, store=store, data=data, threads=share, known=known, probed=probed)
        kind = TrainJob if step.phase == "reference" else CompressJob
        return kind(
            cell=cell,
            store=store,
            data=self._data_of(cell.train_task, cell.train_data_entry),
            threads=share,
            alone=alone,
        )

    def _data_of(self, task: Task, entry: str) -> Path:
        """The file of the task's data in the store, written if it is not there yet."""
        path = self._places.store.data_path(entry)
        if not path.exists():
            write_data(path, load_data(task, data_dir=self.cells[0].conditions.data_dir))
        return path

    def _end(self, step: Step, ending: Ending) -> Iterator[RunEvent]:
        """Keep what the step's child gave; a measured cell is recorded."""
        self.summary.busy_s += ending.seconds
        if ending.cause is not None:
            if step.probe is not None and not ending.interrupted:
                self._probed[step.id] = Unprobed(probe=step.probe, reason=ending.cause)
            else:
                yield from self._fail(step, step.phase, ending)
            return
        result = _RESULTS[step.phase].read(ending.result)
        self.summary.spans = self.summary.spans.plus(result.spans)
        self._spans[step.id] = result.spans, ending.seconds - sum(result.spans)
        if isinstance(result, Probed):
            self._probed[step.id] = result
        elif isinstance(result, Measured):
            self._record(step, result)
            yield RunEvent(kind="recorded", cell=step.cell)

    def _record(self, step: Step, result: Measured) -> None:
        """Write the record of the step's cell and its tables."""
        cell, path = step.cell, self.record_path(step.cell)
        self._known[_evaluation(cell)] = result.known
        # A child whose result several cells use, such as a probe of their reference, counts for the first of them.
        spans, other_s = Spans(), 0.0
        for name in (*step.needs, step.id):
            part, rest = self._spans.pop(name, (Spans(), 0.0))
            spans, other_s = spans.plus(part), other_s + rest
        tables = write_tables(path, [each.tables for each in result.readings.values()])
        write_record(path, record_of(cell, result, machine=self._machine, spans=spans, other_s=other_s, tables=tables))
        self.failure_path(cell).unlink(missing_ok=True)
        self.summary.recorded += 1

    def _fail(self, step: Step, phase: Phase, ending: Ending) -> Iterator[RunEvent]:
        """Hand the cause on to the steps that wait for this one; the measuring step of the cell notes it."""
        self._broken[step.id] = (phase, ending)
        if step.phase == "measure":
            text = failure_of(step.cell, phase, ending).model_dump_json(indent=1)
            write_text(self.failure_path(step.cell), text + "\n")
            self.summary.failed += 1
            yield RunEvent(kind="failed", cell=step.cell, phase=phase, text=ending.cause or "")


def _evaluation(cell: Cell) -> tuple[str, str]:
    """What the reference's predictions depend on within one run."""
    return (cell.task.name, cell.reference_key)


def _collector(step: Step, events: list[RunEvent]) -> Report:
    def collect(text: str, share: float) -> None:
        events.append(RunEvent(kind="progress", cell=step.cell, phase=step.phase, text=text, share=share))

    return collect


_RESULTS: dict[Phase, type[Made] | type[Probed] | type[Measured]] = {
    "reference": Made,
    "compress": Made,
    "probe": Probed,
    "measure": Measured,
}
