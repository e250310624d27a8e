"""A table as text for a terminal, Markdown, HTML, CSV or JSON."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from bench.analysis.seeds import NOT_CALLED
from bench.analysis.spread import NOT_SIGNIFICANT
from bench.analysis.table import GENERATED, Absent, BySeed, ResultTable, Shown, TableCell
from bench.base.errors import unknown
from bench.columns import COLUMNS, Column, IntervalNames
from bench.columns.numbers import both, heading, written
from bench.report.text_grid import TextGrid, drawn, paragraph, room

_ONCE = ("suite", "machine", "setting", "model", "seed", "seeds")
_ON = ":"  # between a column and a task: the column's value on that task
_UNSURE = f"n.s.: not significant; the paired test against the reference has p > {NOT_SIGNIFICANT:g}"


def render(table: ResultTable, form: str = "table", *, width: int = 100) -> str:
    """The table in one of FORMATS, ending with a line break.

    `table` fits the columns into `width` characters and names those that found no room; `md` is GitHub Markdown with
    all of them, `html` the same as an HTML fragment in which every text is escaped; `csv` and `json` hold values
    unrounded under the columns' own names, which say the unit (shares are 0 to 1), with the reason of every absent
    value. Raises `UnknownNameError` for another format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    return FORMATS[form](table, width)


def _text(table: ResultTable, width: int) -> str:
    names, constant = _shown(table)
    kept = room(_grid(table, names, Footnotes()), width)
    marks = Footnotes()
    grid = _grid(table, names[:kept], marks)
    lines = [*paragraph(plain(f"{table.title} {constant}"), width), "", *drawn(grid, width)]
    if kept < len(names):
        left = ", ".join(_heading(name).rstrip("↑↓ ") for name in names[kept:])
        hint = f"Columns not shown: {left}. Widen the terminal or use --format md."
        lines += ["", *paragraph(hint, width)]
    notes = [line for note in [*notes_of(table), *marks.lines()] for line in paragraph(note, width)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _markdown(table: ResultTable, width: int) -> str:
    del width
    marks = Footnotes()
    names, constant = _shown(table)
    grid = _grid(table, names, marks)
    lines = [f"**{_escaped(plain(table.title))}** {_escaped(plain(constant))}".rstrip(), ""]
    lines += [_markdown_row(list(map(_escaped, grid.headings)))]
    lines += [_markdown_row(["---:" if number else "---" for number in grid.numeric])]
    lines += [_markdown_row(list(map(_escaped, row))) for row in grid.rows]
    notes = [_escaped(note) for note in [*notes_of(table), *marks.lines()]]
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)]) + "\n"


def _html(table: ResultTable, width: int) -> str:
    del width
    marks = Footnotes()
    names, constant = _shown(table)
    grid = _grid(table, names, marks)
    sides = ["right" if number else "left" for number in grid.numeric]

    def line(tag: str, cells: Sequence[str]) -> str:
        pairs = zip(sides, map(html.escape, cells), strict=True)
        return "".join(f'<{tag} style="text-align:{side}">{text}</{tag}>' for side, text in pairs)

    notes = [html.escape(note) for note in [*notes_of(table), *marks.lines()]]
    return "\n".join(
        [
            "<table>",
            f"<caption>{html.escape(plain(f'{table.title} {constant}'))}</caption>",
            f"<thead><tr>{line('th', grid.headings)}</tr></thead>",
            "<tbody>",
            *(f"<tr>{line('td', row)}</tr>" for row in grid.rows),
            "</tbody>",
            "</table>",
            *(["<ul>", *(f"<li>{note}</li>" for note in notes), "</ul>"] if notes else []),
            "",
        ]
    )


def _csv(table: ResultTable, width: int) -> str:
    """One line per row; the last column names every absent value with its reason."""
    del width
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.columns, "generated", "absent"])
    for row in table.rows:
        cells = ["" if isinstance(row[name], Absent) else _bare(row[name]) for name in table.columns]
        reasons = _absent(table, row)
        gaps = [
            f"{', '.join(name for name in reasons if reasons[name] == reason)}: {reason}"
            for reason in dict.fromkeys(reasons.values())
        ]
        writer.writerow([*cells, str(table.generated).lower(), "; ".join(gaps)])
    return stream.getvalue()


def _json(table: ResultTable, width: int) -> str:
    del width
    rows = [
        {
            "values": {name: _bare(row[name]) for name in table.columns if not isinstance(row[name], Absent)},
            "absent": _absent(table, row),
        }
        for row in table.rows
    ]
    data = {
        "title": table.title,
        "generated": table.generated,
        "columns": [_described(name) for name in table.columns],
        "rows": rows,
        "notes": list(table.notes),
        "flags": table.flags,
    }
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[ResultTable, int], str]] = {
    "table": _text,
    "md": _markdown,
    "html": _html,
    "csv": _csv,
    "json": _json,
}


def _shown(table: ResultTable) -> tuple[list[str], str]:
    """The visible columns, and the values that all rows share, which are shown once after the title."""
    names = [name for name in table.columns if name != "flags" and not _behind(name, table)]
    same = {name: {str(row[name]) for row in table.rows} for name in names if name in _ONCE}
    constant = [name for name, values in same.items() if len(values) == 1]
    said = ", ".join(f"{name} {min(same[name])}" for name in constant)
    return [name for name in names if name not in constant], f"({said})" if said else ""


def _grid(table: ResultTable, names: Sequence[str], marks: Footnotes) -> TextGrid:
    return TextGrid(
        headings=tuple(map(_heading, names)),
        rows=tuple(tuple(_cell(table, row, name, marks) for name in names) for row in table.rows),
        numeric=tuple(
            name in ("rank", "seed", "seeds")
            or _column(name) is not None
            or any(isinstance(row[name], Shown) for row in table.rows)
            for name in names
        ),
    )


def _cell(table: ResultTable, row: dict[str, TableCell], name: str, marks: Footnotes) -> str:
    value = row[name]
    if isinstance(value, Absent):
        return marks.missing(value)
    if isinstance(value, Shown):
        return value.text
    column = _column(name)
    if column is None or isinstance(value, str):
        text = plain(str(value))
        return marks.flagged(text, row.get("flags", ""), table.flags) if name == "recipe" else text
    number = value.value if isinstance(value, BySeed) else value
    return written(column, number) + _spread(table, row, name, column) + _tested(table, row, name, marks)


def _spread(table: ResultTable, row: dict[str, TableCell], name: str, column: Column) -> str:
    """The interval behind a value in square brackets, or in round ones the values of two seeds."""
    value, ends = row[name], _ends(name)
    if isinstance(value, BySeed) and len(value.seeds) == 2:
        return f" {both(column, value.seeds)}"
    if ends is None or ends.low not in table.columns:
        return ""
    low, high = row.get(ends.low), row.get(ends.high)
    if isinstance(low, int | float) and isinstance(high, int | float):
        return f" [{written(column, low).rstrip('x%')}, {written(column, high).rstrip('x%')}]"
    return ""


def _tested(table: ResultTable, row: dict[str, TableCell], name: str, marks: Footnotes) -> str:
    """The mark of a test that is not significant, or of a value that gets no verdict."""
    ends = _ends(name)
    p = row.get(ends.p) if ends is not None and ends.p in table.columns else None
    if isinstance(p, Absent) and p.reason == NOT_CALLED:
        return f" one seed{marks.mark(NOT_CALLED)}"
    return f" n.s.{marks.mark(_UNSURE)}" if isinstance(p, int | float) and p > NOT_SIGNIFICANT else ""


def _ends(name: str) -> IntervalNames | None:
    return COLUMNS[name].interval if name in COLUMNS else None


def _bare(cell: TableCell) -> str | int | float:
    """The cell's value without how it is shown."""
    if isinstance(cell, Absent):
        raise TypeError("an absent cell has no value")
    return cell.value if isinstance(cell, Shown | BySeed) else cell


def _behind(name: str, table: ResultTable) -> bool:
    """Whether a column is not shown separately, since parts of an interval are shown after their value."""
    part = COLUMNS[name].part if name in COLUMNS else None
    return name in table.hidden or (part is not None and part.of in table.columns)


def _column(name: str) -> Column | None:
    return COLUMNS.get(name.partition(_ON)[0])


def _heading(name: str) -> str:
    column = _column(name)
    if column is None:
        return name.replace("_", " ")
    task = plain(name.partition(_ON)[2])
    if not task:
        return heading(column)
    return f"{task} ↑" if column.name == "quality" else f"{task}, {heading(column)}"


def _absent(table: ResultTable, row: dict[str, TableCell]) -> dict[str, str]:
    cells = {name: row[name] for name in table.columns}
    return {name: value.reason for name, value in cells.items() if isinstance(value, Absent)}


def _described(name: str) -> dict[str, Any]:
    column = _column(name)
    if column is None:
        return {"name": name}
    return {"name": name, "unit": column.unit, "better": column.better, "says": column.says}


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """`text` with what Markdown would read as a cell border, emphasis, code, HTML or a link taken literally."""
    for letter in "\\|*`":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
MISSING = "\N{EN DASH}"


class Footnotes:
    """Numbers the reasons of a table in the order in which they are asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """The superscript number of a reason, the same for the same reason."""
        number = self._numbers.setdefault(plain(reason), len(self._numbers) + 1)
        return str(number).translate(_SUPERSCRIPTS)

    def missing(self, absent: Absent) -> str:
        """A dash with the number of its reason."""
        return f"{MISSING}{self.mark(absent.reason)}"

    def flagged(self, text: str, codes: TableCell, flags: dict[str, str]) -> str:
        """`text` followed by an exclamation mark and a number for each warning in `codes`, a list with commas."""
        known = [code for code in str(codes).split(", ") if code in flags]
        return " ".join([text, *(f"!{self.mark(flags[code])}" for code in known)])

    def lines(self) -> list[str]:
        """Every reason that was marked, with its number."""
        return [f"{str(number).translate(_SUPERSCRIPTS)} {reason}" for reason, number in self._numbers.items()]


def notes_of(table: ResultTable) -> list[str]:
    """The table's sentences, the one about generated data first."""
    return [*((GENERATED,) if table.generated else ()), *(plain(note) for note in table.notes)]


def plain(text: str) -> str:
    """`text` on one line without control characters, which could move the cursor or colour a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
