"""Numbered notes under a table: every reason and warning once, and the marks in the cells that point to them."""

from __future__ import annotations

from bench.analysis.table import GENERATED, Absent, Cell, ResultTable

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

    def flagged(self, text: str, codes: Cell, flags: dict[str, str]) -> str:
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
