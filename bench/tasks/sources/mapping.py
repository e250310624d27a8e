"""From rows to examples: which columns hold text, label, answers and the other parts of an example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from bench.base.errors import DataError
from bench.spec.data import Role, TableData
from bench.tasks.examples import Answer, Example
from bench.tasks.sources.answers import NONE, read_answers
from bench.tasks.sources.formats import TEXT
from bench.tasks.sources.labels import LabelReader, spelled
from bench.tasks.sources.rows import MISSING, Row, Table, columns_in, getter, no_column, value_at

Get = Callable[[Row], Any]


class Read(NamedTuple):
    """An example with its row's value of the column that a cut keeps together, and where it stands."""

    example: Example
    together: str | None
    where: str


class Mapping:
    """Reads the examples of one split.

    Args:
        data: its `columns` say what each column is.
        table: the rows, after the transform.
        split: the name of the split, with which uids begin if no column holds them.
        label: reads values of the label column; None if there is none.
        needs_label: whether the column must be there.
    """

    def __init__(
        self, data: TableData, table: Table, *, split: str, label: LabelReader | None, needs_label: bool
    ) -> None:
        self.notes: list[str] = []
        self._data, self._table, self._split, self._label = data, table, split, label
        columns = data.columns or ({"text": TEXT} if table.columns == (TEXT,) else {})
        if "text" not in columns:
            found = ", ".join(table.columns or ()) or "see the file"
            raise DataError(f'{table.name}: columns: which is the text? Add text = "COLUMN" (columns: {found}).')
        self._columns = columns
        self._get: dict[Role, Get] = {
            role: self._getter(_listed(spec), needed=needs_label or role not in ("label", "answers", "start"))
            for role, spec in columns.items()
            if role != "choices"
        }
        self._choices = self._candidates()
        self._filters = [
            (keep, column, self._getter(self._alternatives(column), needed=True), frozenset(values))
            for keep, stated in ((True, data.keep), (False, data.leave_out))
            for column, values in stated.items()
        ]
        self._by = self._column(data.cut.by) if data.cut is not None and data.cut.by else None

    def read(self) -> Iterator[Read]:
        """The examples in the order of the rows; raises `DataError` with file and line for what is not one."""
        get, text_only = self._get, self._table.columns == (TEXT,)
        uid, group, label, answers = (get.get(role) for role in ("uid", "group", "label", "answers"))
        pair, target, relevant = (get.get(role) for role in ("pair", "target", "relevant"))
        text = get["text"]
        seen: dict[str, str] = {}
        looked_up = 0
        for number, row in enumerate(self._table.rows):
            if self._filters and not self._kept(row):
                continue
            words = _text(text(row), "text", self._columns, row)
            if text_only and not words:
                continue
            context = _text(pair(row), "pair", self._columns, row) if pair else None
            choices = self._choices(row) if self._choices else ()
            given, searched = self._answered(answers(row), None if choices else context, row) if answers else ((), 0)
            looked_up += searched
            example = Example(
                uid=f"{self._split}-{number}" if uid is None else _unique(spelled(uid(row)), seen, row),
                text=words,
                pair=context,
                label=self._labelled(label(row), row, choices) if label else None,
                answers=given,
                target=_text(target(row), "target", self._columns, row) if target else None,
                choices=choices,
                relevant=_relevant(relevant(row), row) if relevant else (),
                group=spelled(group(row)) if group else None,
            )
            yield Read(example, spelled(self._by(row)) if self._by else None, row.where)
        if looked_up:
            self.notes.append(
                f"the start of {looked_up} answers of {self._split} is where they first stand in the text"
            )

    def label_values(self) -> Iterator[Any]:
        """The values of the label column, for the names of the classes."""
        label = self._get["label"]
        return (label(row) for row in self._table.rows if self._kept(row))

    def _labelled(self, value: Any, row: Row, choices: Sequence[str]) -> Any:
        return None if value is MISSING or self._label is None else self._label(value, row.where, choices)

    def _answered(self, value: Any, context: str | None, row: Row) -> tuple[tuple[Answer, ...], int]:
        if value is MISSING or value is None:
            return (), 0
        start = self._get.get("start")
        begin = start(row) if start else None
        found, searched = read_answers(value, context, row.where, start=None if begin is MISSING else begin)
        return (found, searched) if found or not isinstance(value, list | dict) else (NONE, 0)

    def _kept(self, row: Row) -> bool:
        return all((spelled(get(row)) in values) == keep for keep, _, get, values in self._filters)

    def _candidates(self) -> Callable[[Row], tuple[str, ...]] | None:
        spec = self._columns.get("choices")
        if spec is None:
            return None
        if isinstance(spec, tuple):
            each = [self._column(one) for one in spec]
            return lambda row: tuple(_text(get(row), "choices", self._columns, row) for get in each)
        whole = self._column(spec)

        def listed(row: Row) -> tuple[str, ...]:
            value = whole(row)
            if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
                raise DataError(f"{row.where}: {spec} is {value!r}; expected a list of texts")
            return tuple(value)

        return listed

    def _alternatives(self, column: str) -> tuple[str, ...]:
        """The columns of which `column` is one, as other files of the data call it otherwise."""
        lists = (spec for role, spec in self._columns.items() if role != "choices" and isinstance(spec, tuple))
        return next((spec for spec in lists if column in spec), (column,))

    def _column(self, spec: str) -> Get:
        return self._getter((spec,), needed=True)

    def _getter(self, specs: Sequence[str], *, needed: bool) -> Get:
        """A function from a row to the value of the first of `specs` that is there; `MISSING` unless it is needed."""
        there = self._table.columns
        if there is not None:
            for spec in specs:
                if all(_may_have(there, column) for column in columns_in(spec)):
                    only = getter(spec)
                    return lambda row: self._present(only(row.values), specs, row, needed=needed)
            if needed:
                raise no_column(self._table.name, specs, there, taken=self._taken())
            return lambda row: MISSING
        several = [getter(spec) for spec in specs]

        def first(row: Row) -> Any:
            for get in several:
                value = get(row.values)
                if value is not MISSING:
                    return value
            return self._present(MISSING, specs, row, needed=needed)

        return first

    def _present(self, value: Any, specs: Sequence[str], row: Row, *, needed: bool) -> Any:
        if value is MISSING and needed:
            raise no_column(row.where, specs, paths_in(row.values), taken=self._taken())
        return value

    def _taken(self) -> set[str]:
        specs = [each for spec in self._columns.values() for each in _listed(spec)]
        return {column for spec in specs for column in columns_in(spec)}


def _listed(spec: str | tuple[str, ...]) -> tuple[str, ...]:
    return (spec,) if isinstance(spec, str) else spec


def paths_in(values: dict[str, Any]) -> list[str]:
    """The columns of a row, with the full paths of what nested parts hold."""
    found: list[str] = []
    for column, value in values.items():
        if isinstance(value, dict):
            found += [f"{column}.{key}" for key in value]
        elif not (isinstance(value, list) and any(other.startswith(f"{column}[]") for other in values)):
            found.append(column)
    return found


def _may_have(columns: Sequence[str], name: str) -> bool:
    return name in columns or any(name.startswith((f"{column}.", f"{column}[]")) for column in columns)


def _text(value: Any, role: Role, columns: Any, row: Row) -> str:
    if isinstance(value, str):
        return value
    spec = columns[role]
    if isinstance(spec, tuple):
        spec = next((each for each in spec if value_at(row.values, each) is not MISSING), role)
    raise DataError(f"{row.where}: {spec} is {value!r}; expected a string")


def _unique(uid: str, seen: dict[str, str], row: Row) -> str:
    if not uid:
        raise DataError(f"{row.where}: the row has no id; leave out uid to have rows counted")
    if uid in seen:
        raise DataError(f"{row.where}: the id {uid!r} is also that of {seen[uid]}; ids must differ within a split")
    seen[uid] = row.where
    return uid


def _relevant(value: Any, row: Row) -> tuple[tuple[str, int], ...]:
    """Ids of relevant documents, each of grade 1, or a table of ids with their grades."""
    if isinstance(value, dict):
        return tuple((str(uid), int(grade)) for uid, grade in value.items())
    if isinstance(value, list):
        return tuple((spelled(uid), 1) for uid in value)
    if isinstance(value, str | int):
        return ((spelled(value), 1),)
    raise DataError(f"{row.where}: relevant documents are {value!r}; expected ids, or a table of ids with grades")
