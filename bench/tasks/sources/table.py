"""The data source of tables: files in any of the formats, or a data set of the hub, read as the data's keys say."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import DataError, unknown
from bench.base.registry import missing_plugin
from bench.base.schema import validated
from bench.spec.data import DATASETS, Source, TableData, read_dataset
from bench.spec.suite import Task
from bench.tasks.examples import TaskData
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.reader import TableReader
from bench.tasks.sources.retrieval import retrieval_data
from bench.tasks.sources.source import SOURCES, DataSource


class TableSource(DataSource):
    """Rows of files or of the hub, as `bench.spec.data.TableData` describes them; `data.subset` is not used."""

    name = "table"
    names_labels = True

    def table(self, task: Task) -> TableData:
        """How the task's rows are read: by the keys of its data, over those of the data set that they name."""
        return described_data(task.data)

    def load(self, task: Task, *, data_dir: Path | None) -> TaskData:
        """Every split that the task names; labels become indices into `task.labels`, whatever their order is.

        Raises `DataError` with file and line for data that are missing or malformed, and for a task whose labels or
        splits are not those of the data.
        """
        data = self.table(task)
        kind = KINDS.get(task.kind)
        if data.judgements is not None or kind.searches:
            return retrieval_data(data, task, data_dir)
        lacking = [role for role in kind.needs if data.columns and role not in data.columns]
        if lacking:
            raise DataError(
                f"tasks.{task.name}.data.columns: a {task.kind} task needs {' and '.join(lacking)}, found "
                f"{', '.join(data.columns)}. Add {lacking[0]} = COLUMN."
            )
        return TableReader(data, task, data_dir).data()

    def labels(self, task: Task, *, data_dir: Path | None) -> tuple[str, ...]:
        """The names of the classes: those that the data state, else the sorted ones of the training split."""
        return TableReader(self.table(task), task, data_dir).labels()


def described_data(data: Source) -> TableData:
    """The keys of a source over those of the data set of its name, if there is one; raises `SuiteError`."""
    own = data.model_dump(exclude_unset=True, exclude={"source", "subset", "seed"})
    if data.dataset is None:
        return validated(TableData, own, where="data")
    stated = read_dataset(data.dataset)
    base = {key: value for key, value in stated.model_dump(exclude_unset=True).items() if key in TableData.model_fields}
    return validated(TableData, base | own, where=f"data of {data.dataset}")


def source_of(task: Task, *, where: str) -> DataSource:
    """The registered source that a task names, or the table source if it names a data set.

    Raises `UnknownNameError` that suggests the nearest name for one that is neither.
    """
    data = task.data
    if data.source in SOURCES.names():
        return SOURCES.get(data.source, where=f"{where}.source")
    if data.dataset is not None:
        return SOURCES.get(TableSource.name)
    folders = dict.fromkeys(name.partition("/")[0] for name in DATASETS.names())
    if data.source in folders:
        raise unknown("data set", f"{data.source}/{data.subset}", DATASETS.names(), where=where)
    known = [*SOURCES.names(), *folders]
    raise missing_plugin("data source", data.source, known, groups=(SOURCES.group,), where=f"{where}.source")


SOURCES.register(TableSource.name)(TableSource())
