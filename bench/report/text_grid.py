"""Drawing a table in a terminal: headings on several lines, as many columns as find room, nothing cut."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

_GAP = "  "
_NARROW = 12  # a text column is never folded into fewer characters


@dataclass(frozen=True, kw_only=True)
class TextGrid:
    """Formatted text in rows and columns; `numeric` columns are aligned to the right."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]

    def first(self, count: int) -> TextGrid:
        """The grid of the first `count` columns."""
        return TextGrid(
            headings=self.headings[:count],
            rows=tuple(row[:count] for row in self.rows),
            numeric=self.numeric[:count],
        )

    def widths(self) -> list[int]:
        """Terminal cells that each column needs."""
        return [
            max(cell_len(text) for text in (*_folded(heading), *(row[index] for row in self.rows)))
            for index, heading in enumerate(self.headings)
        ]


def room(grid: TextGrid, width: int) -> int:
    """How many columns, from the left, fit into `width` cells; those that say what a row is count in any case."""
    widths = grid.widths()
    texts = [index for index, number in enumerate(grid.numeric) if not number]
    kept = texts[-1] + 1 if texts else 0
    while kept < len(widths) and sum(widths[: kept + 1]) + len(_GAP) * kept <= width:
        kept += 1
    return kept


def drawn(grid: TextGrid, width: int) -> list[str]:
    """The lines of the grid; the widest text column is folded if the grid is wider than `width`."""
    widths = grid.widths()
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    texts = [index for index, number in enumerate(grid.numeric) if not number]
    if excess > 0 and texts:
        widest = max(texts, key=lambda index: widths[index])
        widths[widest] = max(_NARROW, widths[widest] - excess)
    heads = [_folded(heading) for heading in grid.headings]
    tallest = max(map(len, heads), default=0)
    lines = [
        _line([([""] * (tallest - len(head)) + head)[level] for head in heads], widths, grid.numeric)
        for level in range(tallest)
    ]
    lines.append("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)))
    for row in grid.rows:
        parts = [chop_cells(text, wide) or [""] for text, wide in zip(row, widths, strict=True)]
        for level in range(max(map(len, parts))):
            lines.append(_line([part[level] if level < len(part) else "" for part in parts], widths, grid.numeric))
    return lines


def paragraph(text: str, width: int) -> list[str]:
    """`text` on lines of at most `width` characters, all but the first indented."""
    return textwrap.wrap(text, max(width, 20), subsequent_indent="  ", break_on_hyphens=False)


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = []
    for text, wide, number in zip(cells, widths, numeric, strict=True):
        space = " " * (wide - cell_len(text))
        padded.append(space + text if number else text + space)
    return _GAP.join(padded).rstrip()


def _folded(heading: str) -> list[str]:
    """The heading one word a line, its arrow close to the last one."""
    return heading.replace(" ↑", "↑").replace(" ↓", "↓").split(" ")
