"""Views of records: tables that print, show in a notebook, and convert to a DataFrame or a file."""

from __future__ import annotations

import json
import shutil
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.table import ResultTable
from bench.records.record import write_text
from bench.report.picture import SUFFIXES, look
from bench.report.render import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from bench.analysis.comparison import Comparison
    from bench.analysis.grid import RecipeGrid
    from bench.analysis.leaderboard import Board
    from bench.analysis.pareto import Front

_FORMS = {".md": "md", ".html": "html", ".csv": "csv", ".json": "json"}
_WIDTH = 120  # characters, if no terminal says how many it has


@dataclass(frozen=True, kw_only=True, repr=False)
class TableView:
    """A table. `remarks` are sentences about how it was made that are shown separately from it.

    `print(view)` gives the text that the command prints; in a notebook it is an HTML table.
    """

    table: ResultTable
    remarks: tuple[str, ...] = ()

    def render(self, form: str = "table", *, width: int | None = None) -> str:
        """The table as text: `table`, `md`, `html`, `csv` or `json`.

        `width` is for `table`, in characters; by default the terminal's, or 120 if there is none. Raises
        `UnknownNameError` for another form.
        """
        return render(self.table, form, width=_width() if width is None else width)

    def to_pandas(self) -> DataFrame:
        """One row per table row, unrounded, with the column names of CSV files.

        A missing value is `pandas.NA`; the column `absent` holds a dictionary per row from name to reason. Columns of
        numbers have the types Int64 and Float64, which allow missing values.
        """
        data = json.loads(render(self.table, "json"))
        rows = [{**row["values"], "absent": row["absent"]} for row in data["rows"]]
        return frame_of(rows, [*self.table.columns, "absent"])

    def save(self, path: str | Path, form: str | None = None) -> Path:
        """Write the table to `path` and return it; the ending .md, .html, .csv or .json names the form.

        `form` is for other endings. Raises `RecordError` if the file cannot be written.
        """
        path = Path(path)
        write_text(path, self.render(_FORMS.get(path.suffix, form or "table"), width=_WIDTH))
        return path

    def __repr__(self) -> str:
        return self.render().rstrip("\n")

    def _repr_html_(self) -> str:
        return self.render("html")


@dataclass(frozen=True, kw_only=True, repr=False)
class BoardView(TableView):
    """A leaderboard; `board` holds the places and standings behind the table."""

    board: Board


@dataclass(frozen=True, kw_only=True, repr=False)
class PictureView(TableView, ABC):
    """A table that can also be plotted."""

    @abstractmethod
    def plot(self) -> Figure:
        """A new figure of matplotlib. Raises `RecordError` if there is nothing to draw."""

    def save(self, path: str | Path, form: str | None = None) -> Path:
        """Draw into a file that ends in .png or .svg, or write the table to any other; see `TableView.save`."""
        path = Path(path)
        if path.suffix not in SUFFIXES:
            return super().save(path, form)
        self._draw(path)
        return path

    @abstractmethod
    def _draw(self, path: Path) -> None:
        """Write the picture to `path`."""


@dataclass(frozen=True, kw_only=True, repr=False)
class FrontView(PictureView):
    """A Pareto front; `front` holds its rows, members and hypervolume."""

    front: Front

    def plot(self) -> Figure:
        """The front over its first two columns."""
        from bench.report.plot import figure_of

        with look():
            return _shows_itself(figure_of(self.front))

    def _draw(self, path: Path) -> None:
        from bench.report.plot import draw_front

        draw_front(self.front, path)


@dataclass(frozen=True, kw_only=True, repr=False)
class PivotView(PictureView):
    """A grid of recipes; `grid` holds its labels and cells."""

    grid: RecipeGrid

    def plot(self) -> Figure:
        """One curve per column of the grid, over the numbers of its rows."""
        from bench.report.curves import figure_of_curves

        with look():
            return _shows_itself(figure_of_curves(self.grid))

    def _draw(self, path: Path) -> None:
        from bench.report.curves import draw_curves

        draw_curves(self.grid, path)


@dataclass(frozen=True, kw_only=True, repr=False)
class ComparisonView(TableView):
    """A comparison; `comparison` holds its lines, with `worse`, `undecided` and `missing`."""

    comparison: Comparison


def frame_of(rows: list[dict[str, Any]], columns: list[str]) -> DataFrame:
    """A DataFrame of `rows`; numbers get types that allow missing values."""
    import pandas

    found = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        given = [value for value in values if value is not None]
        numbers = bool(given) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)
        whole = numbers and all(isinstance(value, int) for value in given)
        found[name] = pandas.Series(values, dtype="Int64" if whole else "Float64" if numbers else "object")
    return pandas.DataFrame(found, columns=columns)


def _shows_itself(figure: Figure) -> Figure:
    """The figure with the method that notebooks call, which otherwise exists only if pyplot was imported."""

    def png() -> bytes:
        import io

        stream = io.BytesIO()
        figure.savefig(stream, format="png")
        return stream.getvalue()

    vars(figure)["_repr_png_"] = png
    return figure


def _width() -> int:
    """Characters per line of the terminal."""
    return shutil.get_terminal_size((_WIDTH, 40)).columns if sys.stdout.isatty() else _WIDTH
