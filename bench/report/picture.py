"""What all plots share: a page with axes, colours, legend, title and file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from bench.base.errors import RecordError
from bench.report.axis import Axis
from bench.report.render import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as PlotAxis
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
# Okabe and Ito's palette, distinguishable with every kind of colour vision; marks differ as well
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#6B6B6B")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h")
INK, PALE = "#1b1b1b", "#6a6a6a"
_GRID = "#e6e6e6"
_SIZE = (9.0, 5.8)  # inches
_DPI = 160
_LEGEND = 26  # letters of a line beside the axes
_BODY = (0.085, 0.115, 0.715, 0.735)  # left, low, width, height of the axes as shares of the figure


def save_picture(path: Path, make: Callable[[], Figure]) -> None:
    """Write the figure that `make` gives into a PNG or SVG file, as the ending of `path` says.

    The same figure gives the same bytes of SVG. Raises `RecordError` for another ending, before anything is drawn, and
    where the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RecordError(
            f"{path}: a plot is a {' or '.join(SUFFIXES)} file. End the name after --out with one of them."
        )
    with look():
        figure = make()
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=_DPI, metadata=metadata)
        except OSError as error:
            raise RecordError(f"{path}: cannot be written: {error.strerror}") from error


def look() -> AbstractContextManager[None]:
    """The settings of matplotlib under which figures are made, whatever the user's own are."""
    from matplotlib import rc_context

    settings: AbstractContextManager[None] = rc_context(
        {"svg.hashsalt": "bench", "font.family": "DejaVu Sans", "font.size": 9}
    )
    return settings


def style(index: int) -> tuple[str, str]:
    """Colour and mark of the family or curve of a number, from the beginning again if they run out."""
    return _COLOURS[index % len(_COLOURS)], _MARKERS[index % len(_MARKERS)]


def page() -> tuple[Figure, Axes]:
    """An empty figure with its axes, and room for words above and a legend on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure, figure.add_axes(_BODY)


def scale(axes: Axes, which: Literal["x", "y"], own: Axis) -> None:
    """Give one side of the axes its scale, limits, ticks and label."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    side: PlotAxis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log" if own.log else "linear", f"{which}lim": (own.low, own.high)})
    wide = own.log and own.high > 1e3 * own.low
    side.set_major_locator(
        LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)) if own.log else MaxNLocator(6, steps=[1, 2, 5, 10])
    )
    side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    side.set_minor_formatter(NullFormatter())
    name(side, own.label)


def name(side: PlotAxis, label: str) -> None:
    """Write what a side of the axes shows."""
    side.set_label_text(plain(label), color=INK, parse_math=False)
    side.labelpad = 7


def lay_grid(axes: Axes) -> None:
    """A pale grid behind everything, and lines on the left and below only."""
    axes.grid(True, color=_GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, colors=PALE)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#b5b5b5")


def mark(marker: str, face: str, edge: str, size: float) -> Any:
    """A mark for the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker=marker, markerfacecolor=face, markeredgecolor=edge, markersize=size)


def bar() -> Any:
    """A bar for the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker="|", color=PALE, markersize=11)


def draw_legend(axes: Axes, entries: Sequence[tuple[Any, str]]) -> None:
    """Draw the legend of marks and lines next to the axes."""
    legend = axes.legend(
        [handle for handle, _ in entries],
        [fill(plain(label), _LEGEND) for _, label in entries],
        loc="upper left",
        bbox_to_anchor=(1.015, 1.0),
        frameon=False,
        fontsize=8,
        labelspacing=0.75,
        handletextpad=0.4,
        borderaxespad=0.0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def draw_words(figure: Figure, title: str, said: str, *, generated: bool) -> None:
    """The title, what the numbers rest on, and whether the data are generated."""
    x = _BODY[0]
    figure.text(x, 0.945, plain(title), fontsize=13, weight="bold", color=INK, parse_math=False)
    figure.text(x, 0.9, plain(said), fontsize=8.5, color=PALE, parse_math=False)
    if generated:
        box = {"facecolor": "#fff1d6", "edgecolor": "#d9a441", "linewidth": 0.8, "boxstyle": "round,pad=0.35"}
        figure.text(0.985, 0.952, "GENERATED DATA", ha="right", fontsize=8, weight="bold", color="#7a5200", bbox=box)
