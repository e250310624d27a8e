"""Whether a suite names only what there is, and whether its parts fit each other."""

from __future__ import annotations

from bench.base.errors import SuiteError
from bench.columns import column
from bench.measures.base.measure import MEASURES
from bench.spec.suite import Suite, Task
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.table import source_of


def check_suite(suite: Suite, *, where: str | None = None) -> None:
    """Check everything in a suite that depends on what is registered: kinds, sources, metrics and measures.

    Args:
        suite: read from a file, so that its keys and plain values are right already.
        where: the file, for messages; None is the suite's name.

    Raises:
        SuiteError: labels that do not fit a task's kind, a key of a task's training that there is not, or a measure
            that belongs to every record and is skipped. UnknownNameError: a name that nothing is registered under; a
            metric must be one of the predictions of the task's kind, and the columns of a measure must be declared.
        PluginError: a plug-in that is named is broken, or a name is registered twice.
    """
    file = suite.name if where is None else where
    for task in suite.tasks:
        _check_task(task, where=f"{file}: task '{task.name}'")
        suite.training(task)
    measuring = suite.setting.measuring
    for name in measuring.budgets_s:
        MEASURES.get(name, where=f"{file}: setting.measuring.budgets_s")
    for name in measuring.skip:
        place = f"{file}: setting.measuring.skip"
        if not MEASURES.get(name, where=place).optional:
            may = ", ".join(other for other, measure in MEASURES.items() if measure.optional)
            raise SuiteError(f"{place}: measure '{name}' is required. These can be skipped: {may}")
    for name in MEASURES.names():
        if name not in measuring.skip:
            for each in MEASURES.get(name).columns:
                column(each, where=f"measure '{name}'")


def _check_task(task: Task, *, where: str) -> None:
    kind = KINDS.get(task.kind, where=f"{where}: kind")
    source = source_of(task, where=f"{where}: data")
    if len(task.labels) < kind.least_labels and not (source.names_labels and not task.labels):
        least = {1: "one label", 2: "two labels"}.get(kind.least_labels, f"{kind.least_labels} labels")
        raise SuiteError(f"{where}: labels: a {task.kind} task needs at least {least}, found {len(task.labels)}")
    if task.labels and not kind.least_labels:
        raise SuiteError(f"{where}: labels: a {task.kind} task has no labels, found {', '.join(task.labels)}")
    for metric in task.metrics:
        kind.metric(metric, where=f"{where}: metrics")
