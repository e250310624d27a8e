"""The data source of a text corpus that is made of the texts of several data sets, whatever task they are for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.base.errors import DataError
from bench.spec.data import Source, TableData, read_dataset
from bench.spec.suite import Task
from bench.tasks.examples import Example, TaskData
from bench.tasks.sources.reader import TableReader
from bench.tasks.sources.source import SOURCES, DataSource, needed_splits

_ROLES = ("text", "pair", "target")  # what is running text in a row


class CorpusSource(DataSource):
    """The texts of several data sets without their labels, one example per text, for masked language modelling.

    `data.subset` names them with plus signs between: "glue/sst2+glue/rte+text/multi30k-en". Of a pair both texts are
    taken. Each text occurs once per split, and none of the evaluation splits is in the training split, so a model that
    was trained on the corpus has not seen the texts that any of its data sets are evaluated on, as far as these are the
    evaluation splits of the task.
    """

    name = "corpus"

    def load(self, task: Task, *, data_dir: Path | None) -> TaskData:
        """Every split that the task names, of every data set in the order in which they are named.

        Raises `DataError` if no data sets are named, or as the data sets themselves do.
        """
        names = [name.strip() for name in task.data.subset.split("+") if name.strip()]
        if not names:
            raise DataError(
                f'tasks.{task.name}.data.subset: no data sets; name one or more, such as "glue/sst2+glue/rte"'
            )
        parts = {name: _texts(name, task, data_dir) for name in names}
        splits = sorted(needed_splits(task), key=lambda split: split == task.train)  # evaluated texts are taken first
        seen: set[str] = set()
        found: dict[str, tuple[Example, ...]] = {}
        notes: list[str] = []
        for split in splits:
            taken, examples = set(seen if split == task.train else ()), list[Example]()
            for name, part in parts.items():
                before = len(examples)
                for each in part.splits[split]:
                    if each.text not in taken:
                        taken.add(each.text)
                        examples.append(each)
                notes.append(f"{name}, {split}: {len(examples) - before} texts that no other part has before it")
            seen |= taken
            found[split] = tuple(examples)
        return TaskData(
            splits={split: found[split] for split in needed_splits(task)},
            origin="; ".join(f"{name}: {part.origin}" for name, part in parts.items()),
            revision=", ".join(dict.fromkeys(part.revision for part in parts.values() if part.revision)) or None,
            generated=False,
            notes=(*notes, *(f"{name}: {note}" for name, part in parts.items() for note in part.notes)),
        )


def _texts(name: str, task: Task, data_dir: Path | None) -> TaskData:
    """The texts of one data set, one example each."""
    folder, _, subset = name.partition("/")
    own = task.model_copy(update={"data": Source(source=folder, subset=subset, seed=task.data.seed), "labels": ()})
    stated = read_dataset(name, where=f"tasks.{task.name}.data.subset")
    keys = {key: value for key, value in stated.model_dump(exclude_unset=True).items() if key in TableData.model_fields}
    columns = {role: spec for role, spec in keys.get("columns", {}).items() if role in _ROLES}
    plain = {key: value for key, value in keys.items() if key not in ("columns", "labels", "scores", "transform")}
    read = TableReader(TableData.model_validate({**plain, "columns": columns}), own, data_dir).data()
    splits = {split: tuple(_each(name, split, rows)) for split, rows in read.splits.items()}
    return TaskData(
        splits=splits, origin=read.origin, revision=read.revision, generated=read.generated, notes=read.notes
    )


def _each(name: str, split: str, rows: tuple[Example, ...]) -> Iterator[Example]:
    for number, row in enumerate(rows):
        for place, text in enumerate(text for text in (row.text, row.pair, row.target) if text and text.strip()):
            yield Example(uid=f"{name}:{split}-{number}.{place}", text=text.strip())


SOURCES.register(CorpusSource.name)(CorpusSource())
