"""Tasks and what they are made of, as rows and in full: suites, data sources, data sets, kinds and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import BenchError, SuiteError

if TYPE_CHECKING:
    from bench.spec.data import DataSet
    from bench.spec.suite import Task
    from bench.tasks.kinds.kind import TaskKind

# Everything else is imported where it is used, so that a listing imports only what it lists.

Row = dict[str, str]
TomlTable = dict[str, Any]


def suite_tables() -> Iterator[tuple[str, TomlTable, list[TomlTable]]]:
    """Name, table and task tables of every suite, not validated; a malformed one of another package is skipped."""
    from bench.base.schema import read_toml
    from bench.spec.suite import SUITES, suite_names

    for name in suite_names():
        try:
            path = SUITES.path(name)
            table = read_toml(path)
            tasks = table.get("tasks", [])
            if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
                raise SuiteError(f"{SUITES.shown(path)}: tasks: expected [[tasks]] sections")
        except BenchError as error:
            if not SUITES.skip(name, error):
                raise
        else:
            yield name, table, tasks


def suite_rows() -> list[Row]:
    """A row per suite."""
    return [
        {"name": name, "tasks": str(len(tasks)), "title": str(table.get("title", ""))}
        for name, table, tasks in suite_tables()
    ]


def task_rows() -> list[Row]:
    """A row per task name, with the suites that have one."""
    found: dict[str, Row] = {}
    for suite, _, tasks in suite_tables():
        for task in tasks:
            row = found.setdefault(
                str(task.get("name", "")),
                {
                    "name": str(task.get("name", "")),
                    "kind": str(task.get("kind", "")),
                    "metrics": ", ".join(map(str, task.get("metrics", ()))),
                    "suites": "",
                },
            )
            row["suites"] += f", {suite}" if row["suites"] else suite
    return list(found.values())


def source_rows() -> list[Row]:
    """A row per source that the `data` of a task can name: plug-ins, folders of data sets, and tables."""
    from bench.spec.data import DATASETS
    from bench.tasks.sources.source import SOURCES

    folders: dict[str, list[str]] = {}
    for name in DATASETS.names():
        folder, _, dataset = name.partition("/")
        folders.setdefault(folder, []).append(dataset)
    plugged = {name: _first_sentence(type(source).__doc__) for name, source in SOURCES.items()}
    sets = {name: f"data sets: {', '.join(names)}" for name, names in folders.items()}
    plugged["table"] = "files of your own or a data set of the hub: the keys of `data` say how rows are read"
    return [{"name": name, "says": says} for name, says in {**plugged, **sets}.items()]


def transform_rows() -> list[Row]:
    """A row per transform of rows that the `data` of a task can name."""
    from bench.tasks.sources.transforms.transform import TRANSFORMS

    return [{"name": name, "says": _first_sentence(plugin.__doc__)} for name, plugin in TRANSFORMS.items()]


def dataset_rows() -> list[Row]:
    """A row per data set."""
    return [
        {
            "name": name,
            "title": dataset.title,
            "licence": dataset.licence,
            "rows": _sizes(dataset.sizes),
        }
        for name, dataset in _datasets()
    ]


def kind_rows() -> list[Row]:
    """A row per kind of task."""
    from bench.tasks.kinds.kind import KINDS

    return [
        {"name": name, "predicts": _kind_says(kind), "metrics": ", ".join(_metrics_of(kind))}
        for name, kind in KINDS.items()
    ]


def metric_rows() -> list[Row]:
    """A row per metric, with the column that a task names and the kinds of task that have it."""
    from bench.tasks.kinds.kind import KINDS
    from bench.tasks.metrics.metric import METRICS

    kinds = dict(KINDS.items())
    return [
        {
            "name": name,
            "column": metric.column.name,
            "kinds": ", ".join(kind for kind, plugin in kinds.items() if issubclass(plugin.predicts, metric.takes))
            or "-",
            "says": _first_sentence(type(metric).__doc__),
        }
        for name, metric in METRICS.items()
    ]


def task_parts(name: str, *, data_dir: Path | None = None) -> dict[str, Any]:
    """The pages of the tasks called `name`: one per data set or source that suites use under this name.

    With `data_dir`, the rows that are found there are counted, or it is said why they cannot be read.
    """
    pages: dict[str, list[tuple[str, Task]]] = {}
    for suite, task in _tasks_called(name):
        pages.setdefault(task.data.model_dump_json(exclude={"seed"}), []).append((suite, task))
    found = [(having, _page(having, data_dir)) for having in pages.values()]
    if len(found) == 1:
        return {"task": found[0][1]}
    return {f"task of {', '.join(suite for suite, _ in having)}": page for having, page in found}


def data_parts(name: str) -> dict[str, Any]:
    """A data set, a source, a kind or a metric in full."""
    from bench.spec.data import DATASETS, read_dataset
    from bench.tasks.kinds.kind import KINDS
    from bench.tasks.metrics.metric import METRICS

    found: dict[str, Any] = {}
    if name in DATASETS.names():
        dataset = read_dataset(name)
        reading = dataset.model_dump(
            mode="json", exclude_defaults=True, exclude={"title", "cite", "licence", "sizes", "notes"}
        )
        found["data set"] = {**dataset_page(dataset), "tasks": _tasks_on(name), "read as": reading}
    sources = {row["name"]: row["says"] for row in source_rows()}
    if name in sources:
        found["source"] = {"says": sources[name]}
    if name in KINDS.names():
        kind = KINDS.get(name)
        found["kind"] = {
            "predicts": kind.says,
            "says": type(kind).__doc__,
            "metrics": _metrics_of(kind),
            "usual metrics": kind.usual_metrics,
        }
    if name in METRICS.names():
        metric = METRICS.get(name)
        found["metric"] = {
            "says": type(metric).__doc__,
            "column": f"{metric.column.name}: {metric.column.says}",
            "source": metric.column.source,
            "kinds": {row["name"]: row["kinds"] for row in metric_rows()}[name],
        }
    return found


def dataset_page(dataset: DataSet) -> dict[str, Any]:
    """What people should know of a data set."""
    hub = dataset.hub
    at = None
    if hub is not None:
        parts = (
            hub.id,
            hub.config,
            hub.revision and f"at {hub.revision[:12]}",
            None if hub.verified else "not verified",
        )
        at = ", ".join(part for part in parts if part)
    return {
        "title": dataset.title,
        "licence": dataset.licence,
        "cite": dataset.cite,
        "rows as published": _sizes(dataset.sizes),
        "hub": at,
        "notes": list(dataset.notes),
    }


def _page(having: list[tuple[str, Task]], data_dir: Path | None) -> dict[str, Any]:
    """One task that several suites have on the same data: what is said is the first one's, then what differs."""
    from bench.spec.data import read_dataset
    from bench.tasks.kinds.kind import KINDS

    _, task = having[0]
    kind = KINDS.get(task.kind, where=f"task '{task.name}'")
    metrics = {name: kind.metric(name).column.says for name in task.metrics}
    source = task.data.dataset
    page: dict[str, Any] = {
        "title": task.title,
        "kind": f"{task.kind}: {_kind_says(kind)}",
        "metrics": metrics,
        "labels": list(task.labels),
        "data": {"name": source or f"{task.data.source} {task.data.subset}".strip()},
    }
    if source is not None:
        page["data"] |= dataset_page(read_dataset(source))
    if data_dir is not None:
        page["data"]["rows found"] = _rows_found(task, data_dir)
    page["splits"] = {
        "training": "the model of " + task.trained_on if task.trained_on else task.train,
        "evaluation": ", ".join(task.evaluate),
        "shifted": ", ".join((*task.ood, *task.shifted)),
    }
    page["suites"] = [_in_suite(suite, each, task) for suite, each in having]
    return page


def _rows_found(task: Task, data_dir: Path) -> dict[str, str]:
    """The rows of each split that are in a folder, or why they cannot be read."""
    from bench.tasks.data import load_data, settled

    found = {}
    for split in dict.fromkeys((task.train, *task.evaluate, *task.ood)):
        try:
            alone = settled(alone_on(task, split), data_dir=data_dir)
            found[split] = f"{len(load_data(alone, data_dir=data_dir).splits[split]):,}"
        except BenchError as error:
            found[split] = f"cannot be read: {str(error).splitlines()[0]}"
    return found


def alone_on(task: Task, split: str) -> Task:
    """The task with nothing but one split of its own data, which it is trained and evaluated on, and whole."""
    only: dict[str, Any] = {
        "train": split,
        "evaluate": (split,),
        "ood": (),
        "shifted": {},
        "trained_on": None,
        "threshold": None,
    }
    return task.model_copy(update={**only, "train_examples": None, "evaluate_examples": None})


def _in_suite(suite: str, task: Task, first: Task) -> str:
    """The suite's name, and what of the task is different there."""
    skipped = {"data", "title", *(() if task.labels and first.labels else ("labels",))}
    mine, other = (each.model_dump(mode="json", exclude=skipped) for each in (task, first))
    different = ", ".join(f"{key} {_briefly(mine[key])}" for key in mine if mine[key] != other[key])
    return f"{suite} ({different})" if different else suite


def _briefly(value: Any) -> str:
    """A value of a task in few words: of a table its keys."""
    return " ".join(map(str, value)) if isinstance(value, dict | list) and value else f"{value}"


def _tasks_called(name: str) -> Iterator[tuple[str, Task]]:
    from bench.spec.suite import SUITES, load_suite

    for suite, _, tasks in suite_tables():
        if any(task.get("name") == name for task in tasks):
            try:
                yield suite, load_suite(suite).task(name)
            except BenchError as error:
                if not SUITES.skip(suite, error):
                    raise


def _tasks_on(dataset: str) -> list[str]:
    """The tasks on a data set, each with its suite."""
    found = []
    for suite, _, tasks in suite_tables():
        for task in tasks:
            data = task.get("data")
            named = f"{data.get('source')}/{data.get('subset')}" if isinstance(data, dict) else data
            if named == dataset:
                found.append(f"{task.get('name')} of {suite}")
    return found


def _datasets() -> Iterator[tuple[str, DataSet]]:
    from bench.spec.data import DATASETS, read_dataset

    for name in DATASETS.names():
        try:
            yield name, read_dataset(name)
        except BenchError as error:
            if not DATASETS.skip(name, error):
                raise


def _kind_says(kind: TaskKind) -> str:
    return kind.says or _first_sentence(type(kind).__doc__)


def _metrics_of(kind: TaskKind) -> list[str]:
    from bench.tasks.metrics.metric import metrics_of

    return list(metrics_of(kind.predicts))


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{split} {rows:,}" for split, rows in sizes.items())


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].rstrip(".")
