"""The picture of a front."""

from __future__ import annotations

import itertools
import re

import pytest

from bench.analysis.pareto import pareto
from bench.base.errors import RecordError
from bench.columns import COLUMNS
from bench.report.axis import axis_for
from bench.report.plot import draw_front, figure_of


@pytest.fixture
def front(suite, row):
    def build(*columns, generated=False):
        recipes = (("none", 0.9, 22e9, 1.0), ("svd[rank=$a$]", 0.8, 12e9, 1.6), ("tiny", 0.7, 1e9, 9.0))
        records = [
            record
            for name, quality, flops, speedup in (*recipes, ("wide", 0.7, 2e9, 0.9))
            for record in row(
                name,
                *[quality] * 3,
                generated=generated,
                values={
                    "flops": flops,
                    "speedup": speedup,
                    "speedup_low": 0.9 * speedup,
                    "speedup_high": 1.1 * speedup,
                },
            )
        ]
        return pareto(suite, records, columns or ["flops", "quality"])

    return build


def texts(figure):
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


def test_every_recipe_is_named_and_dollars_stay_dollars(front):
    figure = figure_of(front())
    said = texts(figure)
    for name in ("reference", "svd[rank=$a$]", "tiny", "wide", "Trio"):
        assert name in said
    assert not any(text.get_parse_math() for text in figure.axes[0].texts)


def test_axes_say_unit_and_direction_and_a_wide_range_is_logarithmic(front):
    axes = figure_of(front()).axes[0]
    assert axes.get_xlabel() == "flops (GFLOP, lower is better)"
    assert axes.get_ylabel() == "quality (%, higher is better)"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")


def test_the_line_runs_through_the_front_and_no_point_is_beyond_it(front):
    line = figure_of(front()).axes[0].lines[0]
    corners = [(round(float(x), 9), round(float(y), 9)) for x, y in line.get_xydata()]
    assert {(1.0, 70.0), (12.0, 80.0), (22.0, 90.0)} <= set(corners)
    assert all(x0 == x1 or y0 == y1 for (x0, y0), (x1, y1) in itertools.pairwise(corners))
    assert (12.0, 70.0) in corners


def test_a_speedup_front_descends_and_shows_its_intervals(front):
    axes = figure_of(front("speedup", "quality")).axes[0]
    corners = [(round(float(x), 9), round(float(y), 9)) for x, y in axes.lines[0].get_xydata()]
    assert (1.6, 70.0) in corners
    assert (1.0, 80.0) in corners
    bars = [
        tuple(round(float(x), 9) for x in line.get_xdata()) for line in axes.lines[1:] if len(line.get_xdata()) == 2
    ]
    assert (8.1, 9.9) in bars


def test_generated_data_are_marked_and_others_are_not(front):
    assert "GENERATED DATA" in texts(figure_of(front(generated=True)))
    assert "GENERATED DATA" not in texts(figure_of(front()))


def test_names_do_not_overlap_on_the_page(front):
    figure = figure_of(front())
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_svg_is_the_same_twice_and_png_is_a_png(front, tmp_path):
    paths = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for path in paths:
        draw_front(front(), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert not re.search(rb"<dc:date>", first)
    draw_front(front(), tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_three_columns_draw_no_line(front):
    axes = figure_of(front("flops", "quality", "speedup")).axes[0]
    assert not any(len(line.get_xdata()) > 2 for line in axes.lines)


def test_other_endings_and_empty_fronts_are_refused(suite, row, front, tmp_path):
    with pytest.raises(RecordError, match=r"\.png or \.svg"):
        draw_front(front(), tmp_path / "front.pdf")
    empty = pareto(suite, row("svd", 0.9, 0.9, 0.9), ["flops", "quality"])
    with pytest.raises(RecordError, match="svd: flops on alpha"):
        draw_front(empty, tmp_path / "front.png")


@pytest.mark.parametrize(
    ("name", "values", "unit", "log"),
    [
        ("size_bytes", [5e6, 40e6], "MB", False),
        ("latency_p50_s", [0.001, 0.02], "ms", True),
        ("params", [2e6, 9e6], "M", False),
        ("energy_kwh", [1e-6, 1e-4], "kWh", True),
        ("ood_gap", [-0.1, 5.0], "%", False),
    ],
)
def test_axes_choose_prefix_and_scale_and_hold_every_value(name, values, unit, log):
    axis = axis_for(COLUMNS[name], values)
    assert (axis.unit, axis.log) == (unit, log)
    assert all(axis.low <= value / axis.factor <= axis.high for value in values)


@pytest.mark.parametrize("value", [0.0, 1.0, 5e9])
def test_a_single_value_still_has_room_around_it(value):
    axis = axis_for(COLUMNS["flops"], [value])
    assert axis.low < axis.high


def test_of_many_rows_only_the_front_is_named_and_the_page_says_so(front, monkeypatch):
    assert not any("named" in text for text in texts(figure_of(front())))
    monkeypatch.setattr("bench.report.plot.NAMED", 3)  # of four rows
    said = texts(figure_of(front()))
    assert {"reference", "tiny"} <= set(said)
    assert "wide" not in said
    assert any(text.endswith("4 rows, named: the front") for text in said)
    monkeypatch.setattr("bench.report.plot.NAMED", 2)  # three of them are on the front
    said = texts(figure_of(front()))
    assert "reference" in said
    assert "tiny" not in said
    assert any(text.endswith("4 rows, named: the reference only (see the table)") for text in said)
