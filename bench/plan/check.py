"""Whether a suite names only what there is, and whether its parts fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from bench.base.errors import BenchError, SuiteError, unknown
from bench.columns import column
from bench.measures.base.measure import MEASURES
from bench.spec.data import read_dataset
from bench.spec.suite import Suite, Task
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.shifted import check_shifted
from bench.tasks.sources.table import source_of


def check_suite(suite: Suite, *, where: str | None = None) -> None:
    """Check everything in a suite that depends on what is registered: kinds, sources, metrics and measures.

    Args:
        suite: read from a file, so that its keys and plain values are right already.
        where: the file, for messages; None is the suite's name.

    Raises:
        SuiteError: labels that do not fit a task's kind, a key of a task's training that there is not, a measure that
            belongs to every record and is skipped; or several problems, a line for each.
        UnknownNameError: a name that nothing is registered under; a metric must be one of the predictions of the task's
            kind, and the columns of a measure must be declared.
        PluginError: a plug-in that is named is broken, or a name is registered twice.
    """
    problems = list(_problems(suite, suite.name if where is None else where))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SuiteError("\n".join(dict.fromkeys(map(str, problems))))


def _problems(suite: Suite, file: str) -> Iterator[BenchError]:
    """What is wrong in a suite: the first problem of each of its parts that can be checked alone."""
    measuring = suite.setting.measuring
    checks: list[Callable[[], object]] = []
    for task in suite.tasks:
        checks += _task_checks(task, where=f"{file}: task '{task.name}'")
        checks.append(partial(suite.training, task))
    for name in measuring.budgets_s:
        checks.append(partial(MEASURES.get, name, where=f"{file}: setting.measuring.budgets_s"))
    checks += [partial(_check_skipped, name, where=f"{file}: setting.measuring.skip") for name in measuring.skip]
    checks += [partial(_check_columns, name) for name in MEASURES.names() if name not in measuring.skip]
    for check in checks:
        try:
            check()
        except BenchError as error:
            yield error


def _check_skipped(name: str, *, where: str) -> None:
    if not MEASURES.get(name, where=where).optional:
        may = ", ".join(other for other, measure in MEASURES.items() if measure.optional)
        raise SuiteError(f"{where}: measure '{name}' is required. These can be skipped: {may}")


def _check_columns(name: str) -> None:
    for each in MEASURES.get(name).columns:
        column(each, where=f"measure '{name}'")


def _task_checks(task: Task, *, where: str) -> Iterator[Callable[[], object]]:
    """The checks of one task; those that depend on its kind are left out if there is no such kind."""
    yield partial(KINDS.get, task.kind, where=f"{where}: kind")
    yield partial(source_of, task, where=f"{where}: data")
    kind = dict(KINDS.items()).get(task.kind)
    if kind is not None:
        yield partial(_check_labels, task, kind, where=where)
        for metric in task.metrics:
            yield partial(_check_metric, task, kind, metric, where=where)
        yield partial(_check_out_of_scope, task, where=where)
        yield partial(check_shifted, task, where=where)


def _check_labels(task: Task, kind: TaskKind, *, where: str) -> None:
    states_none = not task.labels and source_of(task, where=f"{where}: data").names_labels
    if len(task.labels) < kind.least_labels and not states_none:
        least = {1: "one label", 2: "two labels"}.get(kind.least_labels, f"{kind.least_labels} labels")
        raise SuiteError(f"{where}: labels: a {task.kind} task needs at least {least}, found {len(task.labels)}")
    if task.labels and not kind.least_labels:
        raise SuiteError(f"{where}: labels: a {task.kind} task has no labels, found {', '.join(task.labels)}")


def _check_metric(task: Task, kind: TaskKind, metric: str, *, where: str) -> None:
    if kind.metric(metric, where=f"{where}: metrics").of_positive:
        _check_positive(task, metric, where=where)


def _check_out_of_scope(task: Task, *, where: str) -> None:
    if task.out_of_scope is not None and task.labels and task.out_of_scope not in task.labels:
        raise unknown("label", task.out_of_scope, task.labels, where=f"{where}: out_of_scope")


def _check_positive(task: Task, metric: str, *, where: str) -> None:
    """Raise `SuiteError` if the task swaps the two labels of its data set, so that the wrong one would be positive."""
    name = task.data.dataset
    if name is None or not task.labels:
        return
    known = task.data.labels or read_dataset(name, where=f"{where}: data").labels
    if set(known) == set(task.labels) and known != task.labels:
        raise SuiteError(
            f"{where}: labels: {metric} is of the second label, here '{task.labels[1]}', but the positive class of "
            f"{name} is '{known[1]}'. Write labels = [{', '.join(map(repr, known))}]."
        )
