"""The picture of a grid: curves over numbers, with their intervals and the reference."""

from __future__ import annotations

import pytest

from bench.analysis.grid import Axes, grid_of
from bench.base.errors import RecordError
from bench.report.curves import draw_curves, figure_of_curves


def drawn(suite, records, *, rows="sparsity", columns="schedule.rewind", **more):
    return figure_of_curves(grid_of(suite, records, Axes(rows=(rows,), columns=(columns,)), **more))


def curves(figure):
    """The points of every line with a legend entry, by its label, rounded."""
    legend = figure.axes[0].get_legend()
    handles = zip(legend.get_texts(), legend.legend_handles, strict=True)
    colours = {text.get_text(): handle.get_color() for text, handle in handles}
    lines = {line.get_color(): line for line in figure.axes[0].lines if line.get_marker() not in ("_", "None", "")}
    return {
        name: [round(float(y), 6) for y in lines[colour].get_ydata()]
        for name, colour in colours.items()
        if colour in lines
    }


def bars(figure):
    return [
        tuple(round(float(y), 6) for y in line.get_ydata()) for line in figure.axes[0].lines if line.get_marker() == "_"
    ]


def levels(figure):
    return [round(float(line.get_ydata()[0]), 6) for line in figure.axes[0].lines if line.get_marker() in ("None", "")]


def test_a_curve_has_the_values_of_its_column_from_left_to_right(suite, grid):
    figure = drawn(suite, list(reversed(grid)), where=None)
    assert curves(figure) == {"schedule.rewind start": [85.0, 65.0], "schedule.rewind shuffled": [55.0]}
    assert (85.0 - 5.0 / 2**0.5, 85.0 + 5.0 / 2**0.5) in [pytest.approx(bar, abs=1e-4) for bar in bars(figure)]
    assert levels(figure) == [85.0]


def test_curves_stand_side_by_side_near_their_number(suite, grid):
    axes = drawn(suite, grid).axes[0]
    places = sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", "s"))
    assert places[0] < places[1]
    assert places == pytest.approx([0.5, 0.5], abs=0.005)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.5", "0.9"]
    assert axes.get_ylabel() == "quality (%, higher is better)"


def test_tasks_have_a_reference_line_each_and_equal_ones_share_one(suite, grid):
    figure = drawn(suite, grid, columns="task", where={"schedule.rewind": "start"})
    assert sorted(level for level in levels(figure) if level == level) == [80.0, 90.0]
    assert "reference" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert levels(drawn(suite, grid[:-2], columns="task", where={"schedule.rewind": "start"})) == []


def test_long_names_are_broken_beside_the_axes(suite, cell):
    records = [cell("alpha", 0.5, sparsity=0.5, selector="a" * 30), cell("alpha", 0.4, sparsity=0.9, selector="a" * 30)]
    figure = drawn(suite, records, columns="selector")
    name, _ = (text.get_text() for text in figure.axes[0].get_legend().get_texts())
    assert name.split("\n") == ["selector aaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaa"]


def test_generated_data_are_marked(suite, cell):
    records = [cell("alpha", 0.5, sparsity=0.5), cell("alpha", 0.4, sparsity=0.9)]
    said = [text.get_text() for text in drawn(suite, records, columns="task").texts]
    assert "GENERATED DATA" not in said
    marked = [record.model_copy(update={"generated": True}) for record in records]
    assert "GENERATED DATA" in [text.get_text() for text in drawn(suite, marked, columns="task").texts]


@pytest.mark.parametrize(("rows", "found"), [("schedule.rewind", "has shuffled, start"), ("task", "has alpha, beta")])
def test_words_down_the_side_are_no_axis(suite, grid, rows, found):
    with pytest.raises(RecordError, match=f"needs one --rows with at least two numbers.*{found}"):
        drawn(suite, grid, rows=rows, columns="sparsity")


def test_one_number_or_two_arguments_down_are_no_axis(suite, grid):
    with pytest.raises(RecordError, match=r"sparsity has 0\.9\. Write a table instead"):
        drawn(suite, grid, where={"sparsity": "0.9"})
    both = grid_of(suite, grid, Axes(rows=("sparsity", "schedule.rewind"), columns=("task",)))
    with pytest.raises(RecordError, match=r"sparsity and schedule\.rewind has"):
        figure_of_curves(both)


def test_a_column_that_no_record_has_is_refused_with_its_reason(suite, grid):
    with pytest.raises(RecordError, match=r"nothing to plot of memory_peak_bytes: no cell has a value: .*memory_peak"):
        drawn(suite, grid, value="memory_peak_bytes")


def test_the_file_is_a_picture_and_its_svg_the_same_twice(suite, grid, tmp_path):
    found = grid_of(suite, grid, Axes(rows=("sparsity",), columns=("schedule.rewind",)))
    for name in ("one.svg", "two.svg", "one.png"):
        draw_curves(found, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RecordError, match=r"\.png or \.svg"):
        draw_curves(found, tmp_path / "one.pdf")
