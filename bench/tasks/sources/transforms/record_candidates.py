"""Questions of ReCoRD: the entities of a passage as candidates for the placeholder in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bench.base.errors import DataError
from bench.tasks.sources.rows import MISSING, Row, value_at
from bench.tasks.sources.transforms.transform import TRANSFORMS, ColumnNames, RowTransform, value_of


@TRANSFORMS.register("record-candidates")
class RecordCandidates(RowTransform):
    """Give each row `choices`, `gold` and `right`: the distinct entities, the gold answers and their indices.

    Entities are texts, as on the hub, or spans of the passage with `start` and an inclusive `end`, as in the official
    files. The placeholder stays in the query, where the kind of task puts each choice. Without answers `right` is
    hidden (Zhang et al. 2018, arXiv:1810.12885; Wang et al. 2019, arXiv:1905.00537).
    """

    passage: ColumnNames = "passage"
    query: ColumnNames = "query"
    entities: ColumnNames = "entities"
    answers: ColumnNames = "answers"
    placeholder: str = "@placeholder"

    def rows(self, rows: Iterable[Row], *, split: str) -> Iterator[Row]:
        """Each row with the columns of `columns`; raises `DataError` if an answer is none of the candidates."""
        del split
        for row in rows:
            passage, query, entities = (value_of(row, each) for each in (self.passage, self.query, self.entities))
            if self.placeholder not in query:
                raise DataError(f"{row.where}: no {self.placeholder} in the query {query!r}")
            choices = list(dict.fromkeys(_text(each, passage, row) for each in entities))
            given = value_of(row, self.answers) if _has(row, self.answers) else ()
            gold = list(dict.fromkeys(_text(each, passage, row) for each in given or ()))
            missing = [each for each in gold if each not in choices]
            if missing:
                raise DataError(f"{row.where}: the answer {missing[0]!r} is none of the {len(choices)} entities")
            added = {
                "choices": choices,
                "gold": gold,
                "right": [choices.index(each) for each in gold] or -1,
            }
            yield Row({**row.values, **added}, row.file, row.place)

    def columns(self) -> tuple[str, ...]:
        """`choices` and `gold` as texts, `right` as indices."""
        return ("choices", "gold", "right")


def _has(row: Row, columns: ColumnNames) -> bool:
    names = (columns,) if isinstance(columns, str) else columns
    return any(value_at(row.values, name) is not MISSING for name in names)


def _text(entity: Any, passage: str, row: Row) -> str:
    if isinstance(entity, str):
        return entity
    try:
        text = passage[int(entity["start"]) : int(entity["end"]) + 1]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{row.where}: an entity is {entity!r}; expected text, or a span with start and end") from error
    if not text or entity.get("text", text) != text:
        raise DataError(f"{row.where}: an entity {entity!r} is {text!r} in the passage")
    return text
