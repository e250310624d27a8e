"""Marks around words of a text that a question is about, as in WiC and WSC."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import Field, model_validator

from bench.base.errors import DataError
from bench.base.schema import Frozen
from bench.tasks.sources.rows import Row
from bench.tasks.sources.transforms.transform import TRANSFORMS, ColumnNames, RowTransform, value_of


class MarkedSpan(Frozen):
    """One span of the text in `column`: from character `start` up to `end`, or from the word with index `word` on.

    Words are what is between white space. `says` names the column with the text that stands there, which must be what
    is marked. Official files count some words wrongly: then the nearest place with that text is marked, and if there is
    none and `strict` is False, as many words as it has. `marks` stand before and behind.
    """

    column: str
    start: ColumnNames | None = None
    end: ColumnNames | None = None
    word: ColumnNames | None = None
    says: ColumnNames | None = None
    marks: tuple[str, str] = ("[", "]")
    strict: bool = True

    @model_validator(mode="after")
    def _has_a_place(self) -> MarkedSpan:
        by_characters = self.start is not None and self.end is not None and self.word is None
        by_words = self.word is not None and self.says is not None and self.start is None and self.end is None
        if not (by_characters or by_words):
            raise ValueError(f"{self.column}: give start and end, or word and says")
        return self


@TRANSFORMS.register("mark-span")
class MarkSpan(RowTransform):
    """Write marks into texts, around the words that the question is about.

    Every span's column holds the marked text afterwards; several spans of one column may nest, but not cross.
    """

    spans: tuple[MarkedSpan, ...] = Field(min_length=1)

    def rows(self, rows: Iterable[Row], *, split: str) -> Iterator[Row]:
        """Each row with its texts marked; raises `DataError` if a span is not in the text, or says something else."""
        del split
        for row in rows:
            marked: dict[str, str] = {}
            for column in dict.fromkeys(span.column for span in self.spans):
                text = value_of(row, column)
                places = [(*_place(span, text, row), span) for span in self.spans if span.column == column]
                marked[column] = _marked(text, places)
            yield Row({**row.values, **marked}, row.file, row.place)


def _place(span: MarkedSpan, text: str, row: Row) -> tuple[int, int]:
    """The characters between which the span stands."""
    if span.word is not None and span.says is not None:
        return _words(span, span.word, span.says, text, row)
    start, end = (int(value_of(row, each or ())) for each in (span.start, span.end))
    if not 0 <= start < end <= len(text) or text[start:end] != text[start:end].strip():
        raise DataError(
            f"{row.where}: characters {start} to {end} of {span.column} are {text[start:end]!r}; expected words"
        )
    if span.says is not None and (said := value_of(row, span.says)) != text[start:end]:
        raise DataError(
            f"{row.where}: {span.column} has {text[start:end]!r} at {start}, but {_named(span.says)} is {said!r}"
        )
    return start, end


def _words(span: MarkedSpan, word: ColumnNames, says: ColumnNames, text: str, row: Row) -> tuple[int, int]:
    first, said = int(value_of(row, word)), str(value_of(row, says))
    words = list(re.finditer(r"\S+", text))
    there = words[first : first + len(said.split())]
    if not there or first < 0:
        raise DataError(f"{row.where}: {span.column} has {len(words)} words, and {_named(word)} is {first}")
    start, end = there[0].start(), there[-1].end()
    found = _nearest(said, text, start) or _nearest(said.rstrip(".,;:!?"), text, start)
    if found is not None:
        return found
    if span.strict:
        raise DataError(
            f"{row.where}: {span.column} has {text[start:end]!r} at word {first}, but {_named(says)} is {said!r}, "
            "which stands nowhere in it. With strict = false the words at that place are marked."
        )
    return start, end


def _nearest(said: str, text: str, start: int) -> tuple[int, int] | None:
    """Where the stated words stand nearest to `start`, whatever their case and the white space between them."""
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, said.split())) + r"(?!\w)"
    found = [match.span() for match in re.finditer(pattern, text, flags=re.IGNORECASE)]
    return min(found, key=lambda place: abs(place[0] - start), default=None)


def _named(columns: ColumnNames) -> str:
    return columns if isinstance(columns, str) else " or ".join(columns)


def _marked(text: str, places: list[tuple[int, int, MarkedSpan]]) -> str:
    """The text with all marks; the inner of two marks at one place is that of the shorter span."""
    inserts: list[tuple[int, int, int, str]] = []
    for start, end, span in places:
        inserts.append((start, 1, start - end, span.marks[0]))
        inserts.append((end, 0, end - start, span.marks[1]))
    for place, _, _, mark in sorted(inserts, reverse=True):
        text = text[:place] + mark + text[place:]
    return text
