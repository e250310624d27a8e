"""The data source of the nine GLUE data sets and their diagnostic set, from files on disk or from the hub."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.base.errors import DataError, unknown
from bench.spec.suite import Task
from bench.tasks.examples import Example, TaskData
from bench.tasks.sources.hub import REPOSITORY, REVISION, hub_rows
from bench.tasks.sources.local import find_file, read_file
from bench.tasks.sources.source import SOURCES, DataSource, needed_splits
from bench.tasks.sources.tables import SUBSETS, RawRow, Subset, class_index, score


class GlueSource(DataSource):
    """GLUE (Wang et al. 2019, arXiv:1804.07461); `data.subset` is the hub's name of the data set, such as `sst2`."""

    name = "glue"

    def load(self, task: Task, *, data_dir: Path | None) -> TaskData:
        """Every split the task names, from `data_dir` if one is given and from the hub otherwise.

        Labels become indices into `task.labels`, whatever their order in the source. Raises `DataError` for data that
        is missing or malformed, and for a task whose labels or splits are not those of the data set.
        """
        where = f"tasks.{task.name}"
        if task.data.subset not in SUBSETS:
            raise unknown("GLUE subset", task.data.subset, SUBSETS, where=f"{where}.data.subset")
        subset = SUBSETS[task.data.subset]
        if set(task.labels) != set(subset.labels):
            found, expected = (", ".join(labels) or "none" for labels in (task.labels, subset.labels))
            raise DataError(f"{where}.labels: found {found}; {task.data.subset} has {expected}")
        wanted = needed_splits(task)
        for split in wanted:
            if split not in subset.files:
                raise DataError(f"{where}: {task.data.subset} has no split '{split}', only {', '.join(subset.files)}")
        if data_dir is None:
            return TaskData(
                splits={
                    split: _examples(hub_rows(subset, task.data.subset, split), split, subset=subset, task=task)
                    for split in wanted
                },
                origin=f"{REPOSITORY}, {task.data.subset}, on the hub",
                revision=REVISION,
                generated=False,
            )
        return _load_local(task, subset, wanted, data_dir)


def _load_local(task: Task, subset: Subset, wanted: Iterable[str], data_dir: Path) -> TaskData:
    splits, files, notes = {}, [], []
    for split in wanted:
        path = find_file(subset, split, data_dir)
        table = read_file(path, subset, split=split)
        splits[split] = _examples(table.rows, split, subset=subset, task=task)
        files.append(path.relative_to(data_dir).as_posix())
        if table.dropped:
            notes.append(f"{table.dropped} malformed lines of {files[-1]} left out, as in the hub's version")
    return TaskData(
        splits=splits, origin=f"local files {', '.join(files)}", revision=None, generated=False, notes=tuple(notes)
    )


def _examples(rows: Iterable[RawRow], split: str, *, subset: Subset, task: Task) -> tuple[Example, ...]:
    return tuple(
        Example(
            uid=f"{split}-{index}",
            text=row.text,
            pair=row.pair,
            label=class_index(row, subset, task.labels) if subset.labels else score(row),
        )
        for index, row in enumerate(rows)
    )


SOURCES.register(GlueSource.name)(GlueSource())
