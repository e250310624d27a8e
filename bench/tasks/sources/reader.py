"""Reads the splits of a task, or the names of its labels, from the table that its data describe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.base.errors import DataError
from bench.spec.data import TableData, read_dataset
from bench.spec.suite import Task
from bench.tasks.examples import CORPUS, Example, TaskData
from bench.tasks.sources.answers import NONE
from bench.tasks.sources.cutting import cut
from bench.tasks.sources.files import find_files, shown, split_files
from bench.tasks.sources.formats import TEXT, read_file
from bench.tasks.sources.hub import hub_notes, hub_table
from bench.tasks.sources.joining import beside, joined, with_folder
from bench.tasks.sources.labels import (
    LabelReader,
    choice_reader,
    class_reader,
    listed_labels,
    names_in,
    score_reader,
)
from bench.tasks.sources.mapping import Mapping, Read
from bench.tasks.sources.rows import Table
from bench.tasks.sources.source import needed_splits
from bench.tasks.sources.suspicions import suspicions
from bench.tasks.sources.transforms.transform import transform_of

_LISTED = 3  # files that the origin names of one split
_UNLABELLED = "test"  # splits whose name begins so may lack the label column


class TableReader:
    """One reading of a task's rows; `data` and `labels` each read what they need."""

    def __init__(self, data: TableData, task: Task, data_dir: Path | None) -> None:
        self._data, self._task, self._dir = data, task, data_dir
        self._where = f"tasks.{task.name}"
        self._called = task.data.dataset or (f"'{task.data.subset}'" if task.data.subset else "the data")
        self._files: list[str] = []
        self._shown: dict[str, str] = {}
        self._notes: list[str] = []
        self._reads: list[Read] = []
        self._transform = transform_of(data.transform, where=f"{self._where}.data.transform")

    def data(self) -> TaskData:
        """Every split that the task needs."""
        self._check_labels()
        splits: dict[str, list[Read]] = {}
        cut_into: dict[str, tuple[Example, ...]] = {}
        for split in needed_splits(self._task):
            if self._data.cut is not None and (split in self._data.cut.shares or split == self._data.cut.of):
                cut_into = cut_into or self._cut()
                continue
            splits[split] = self._split(split)
        found = {split: tuple(read.example for read in reads) for split, reads in splits.items()} | cut_into
        wanted = {split: found[split] for split in needed_splits(self._task)}
        passages = self._passages()
        hub = self._data.hub if self._from_hub else None
        if hub is not None:
            self._notes += hub_notes(hub)
        return TaskData(
            splits={**wanted, **passages},
            origin=self.origin(),
            revision=hub.revision if hub else None,
            generated=False,
            notes=tuple(self._notes),
            warnings=suspicions(self._task, wanted, place=self._place),
        )

    def _passages(self) -> dict[str, tuple[Example, ...]]:
        """The corpus that no judgements are of: rows with passages, perhaps beside questions that they answer."""
        if self._data.corpus is None or self._data.judgements is not None:
            return {}
        inner = TableReader(self._data.corpus, self._task.model_copy(update={"labels": ()}), self._dir)
        found = tuple(read.example for read in inner._split(CORPUS))
        self._notes += inner._notes
        self._files += inner._files
        return {CORPUS: found}

    def labels(self) -> tuple[str, ...]:
        """The names of the classes in the order of the data's indices, else sorted."""
        data = self._data
        if data.labels:
            return data.labels
        if data.labels_from is not None:
            return self._listed(data.labels_from)
        split = self._task.train
        if data.cut is not None and split in data.cut.shares:
            split = data.cut.of
        table = self.table(split)
        if "label" not in data.columns:
            raise DataError(f"{self._where}: labels: name them, or add label = COLUMN to the data's columns")
        classes = self._classes(table)
        mapping = Mapping(data, table, split=split, label=None, needs_label=True)
        return classes or names_in(mapping.label_values(), data)

    @property
    def _from_hub(self) -> bool:
        return self._data.hub is not None and (self._dir is None or not self._data.files)

    def _check_labels(self) -> None:
        task, data = self._task, self._data
        if task.labels and data.labels and set(task.labels) != set(data.labels):
            found, expected = (", ".join(labels) or "none" for labels in (task.labels, data.labels))
            raise DataError(f"{self._where}.labels: found {found}; {self._named} has {expected}")
        if not task.labels and data.labels:
            raise DataError(f"{self._where}.labels: found none; {self._named} has {', '.join(data.labels)}")
        if task.labels and "label" not in data.columns:
            raise DataError(f"{self._where}.data.columns: no label, but the task has {', '.join(task.labels)}")

    @property
    def _named(self) -> str:
        return self._task.data.subset if self._task.data.dataset else self._called

    def _split(self, split: str) -> list[Read]:
        table = self.table(split)
        needs_label = not split.startswith(_UNLABELLED)
        mapping = Mapping(self._data, table, split=split, label=self._reader(table), needs_label=needs_label)
        found = list(mapping.read())
        if not found:
            raise DataError(f"{table.name}: no rows; expected one example per line")
        self._notes += [*map(self._told, table.notes), *mapping.notes]
        found = _published(found)
        self._reads += found
        return found

    def _place(self, example: Example) -> str:
        """The file and the line of an example that was read."""
        return self._told(next(read.where for read in self._reads if read.example is example))

    def _told(self, note: str) -> str:
        """A note without the user's folders in it."""
        for path, name in self._shown.items():
            note = note.replace(path, name)
        return note

    def _cut(self) -> dict[str, tuple[Example, ...]]:
        plan = self._data.cut
        if plan is None:
            return {}
        doubled = [split for split in plan.shares if split in self._data.files]
        if doubled:
            raise DataError(f"{self._where}.data.cut: {', '.join(doubled)} has files already; cut another split")
        reads = self._split(plan.of)
        splits, notes = cut([read.example for read in reads], [read.together for read in reads], plan)
        empty = [split for split, examples in splits.items() if not examples]
        if empty:
            shares = ", ".join(f"{split} = {share:g}" for split, share in plan.shares.items())
            raise DataError(
                f"{self._where}.data.cut: no row is left for {empty[0]} if {len(reads)} rows of {plan.of} are cut by "
                f"{shares}. Give more rows, or a file for each split."
            )
        self._notes += notes
        return splits

    def _reader(self, table: Table) -> LabelReader | None:
        data, task = self._data, self._task
        if "label" not in data.columns:
            return None
        if "choices" in data.columns:
            return choice_reader(data)
        if task.labels:
            coded = self._classes(table)
            order = coded or data.labels
            if order and set(order) != set(task.labels) and not data.label_names:
                expected, found = ", ".join(task.labels), ", ".join(order)
                raise DataError(f"{table.name}: expected the labels {expected}, found {found}")
            return class_reader(data, task.labels, order or task.labels, coded=bool(coded))
        return score_reader(data)

    def _classes(self, table: Table) -> tuple[str, ...]:
        spec = self._data.columns.get("label", ())
        names = (spec,) if isinstance(spec, str) else spec
        found = next((table.classes[name] for name in names if name in table.classes), ())
        if found and self._data.labels and found != self._data.labels:
            expected = ", ".join(self._data.labels)
            raise DataError(f"{table.name}: expected the labels {expected}, found {', '.join(found)}")
        return found

    def table(self, split: str) -> Table:
        """The rows of a split after the transform."""
        table = self._hub(split) if self._from_hub else self._local(split)
        changed = self._transform.rows(table.rows, split=split)
        columns = None if table.columns is None else (*table.columns, *self._transform.columns())
        return table._replace(rows=iter(changed), columns=columns)

    def _hub(self, split: str) -> Table:
        hub = self._data.hub
        if hub is None:
            raise DataError(f"{self._where}: {self._called} is not on the hub")
        self._check_split(split)
        table = hub_table(hub, split, instead=f"FOLDER/{self._example(split)}")
        if self._data.format != TEXT:
            return table
        column = self._data.columns.get("text", TEXT)
        lines = (row._replace(values={TEXT: str(row.values[str(column)]).strip()}) for row in table.rows)
        return table._replace(rows=lines, columns=(TEXT,))

    def _local(self, split: str) -> Table:
        self._check_split(split)
        names = split_files(self._data, split)
        folder = self._dir
        if folder is None:
            if not all(Path(name).is_absolute() for name in names):
                raise DataError(
                    f"{self._where}: {self._called} is read from local files only, and none were given. Pass "
                    f"--data-dir FOLDER with the files in it, for example FOLDER/{self._example(split)}."
                    + self._where_from()
                )
            folder = Path(".")
        paths = self._find(names, folder, what=f"the '{split}' split of {self._called}")
        named = [shown(path, self._dir) for path in paths]
        self._files += named if len(named) <= _LISTED else [f"{named[0]} and {len(named) - 1} more"]
        tables = [self._file(path, split, folder) for path in paths]
        return tables[0] if len(tables) == 1 else joined(tables)

    def _find(self, names: tuple[str, ...], folder: Path, *, what: str) -> list[Path]:
        try:
            return find_files(self._data, names, data_dir=folder, what=what)
        except DataError as error:
            raise DataError(f"{error}{self._where_from()}") from error

    def _where_from(self) -> str:
        """Notes of the data set on where its files are, as the last line of a message."""
        if self._task.data.dataset is None:
            return ""
        notes = [note for note in read_dataset(self._task.data.dataset).notes if note.startswith("Files: ")]
        return "".join(f"\n{note}" for note in notes)

    def _file(self, path: Path, split: str, folder: Path) -> Table:
        table = read_file(path, self._data.of_split(split), name=str(path))
        if self._data.folder_column is not None:
            table = with_folder(table, self._data.folder_column, path.resolve().parent.name)
        sides: dict[str, Table] = {}
        for column, files in self._data.beside.items():
            if split not in files:
                raise DataError(f"{self._where}.data.beside.{column}: no file for the split '{split}'")
            stated = files[split]
            names = (stated,) if isinstance(stated, str) else stated
            other = self._find(names, folder, what=f"'{column}' of the '{split}' split of {self._called}")[0]
            sides[column] = read_file(other, self._data.of_split(split), name=str(other))
            self._files.append(shown(other, self._dir))
        self._shown[str(path)] = shown(path, self._dir)
        return beside(table, sides) if sides else table

    def _check_split(self, split: str) -> None:
        known = [*self._data.files, *(self._data.hub.splits if self._data.hub else ())]
        if self._data.files and split not in known:
            raise DataError(f"{self._where}: {self._named} has no split '{split}', only {', '.join(self._data.files)}")
        if not self._data.files and self._data.hub is None:
            raise DataError(f"{self._where}.data: neither files nor a hub data set; add files = {{ {split} = … }}")

    def _example(self, split: str) -> str:
        stated = self._data.files.get(split, ())
        name = stated if isinstance(stated, str) else next(iter(stated), f"{split}.csv")
        folder = self._data.folders[0]
        name = name if "." in name else f"{name}.tsv"
        return name if folder == "." else f"{folder}/{name}"

    def _listed(self, name: str) -> tuple[str, ...]:
        if self._dir is None and not Path(name).is_absolute():
            raise DataError(f"{self._where}.data.labels_from: {name} is a local file; pass --data-dir FOLDER with it")
        path = self._find((name,), self._dir or Path("."), what="the names of the labels")[0]
        return listed_labels(path, name=str(path))

    def origin(self) -> str:
        """Where the rows that were read so far are from, as a record has it."""
        if self._from_hub and self._data.hub is not None:
            return ", ".join(filter(None, (self._data.hub.id, self._data.hub.config, "on the hub")))
        return f"local files {', '.join(dict.fromkeys(self._files))}"


def _published(reads: list[Read]) -> list[Read]:
    """The examples as they are, or with their answers hidden if none of the split has any."""
    if any(read.example.answers not in ((), NONE) for read in reads):
        return reads
    return [
        read._replace(example=replace(read.example, answers=())) if read.example.answers else read for read in reads
    ]
