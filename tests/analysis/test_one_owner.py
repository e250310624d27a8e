"""What a column is stands on the column alone, and a column of another package is as good as one of ours."""

from __future__ import annotations

import ast
import json
import re
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import bench
from bench.analysis.leaderboard import leaderboard
from bench.analysis.table import table_of
from bench.base import registry
from bench.base.errors import BenchError, UnknownNameError
from bench.columns import COLUMNS, Column, PValue, column, with_intervals
from bench.report.render import render

ROOT = Path(bench.__file__).parent
END = re.compile(r"_(low|high|p)$")


@pytest.fixture
def others(restored):
    """The columns as they are, to which more may be added; what is added is gone after the test."""
    restored(COLUMNS)
    return COLUMNS


@pytest.fixture
def installed(others, monkeypatch):
    """A function that makes an entry point the only installed one, which no look-up has asked for yet."""

    def install(point):
        monkeypatch.setattr(registry, "_points", lambda: EntryPoints([point]))
        monkeypatch.setattr(registry, "_BROKEN", {})
        monkeypatch.setattr(others._registry, "_complete", False)
        monkeypatch.setattr(others._registry, "_loaded", [])

    return install


def outside(name: str, **changes) -> Column:
    return Column(name, **{"says": "of another package", "kind": "measurement", "show": "number", **changes})


def with_ends(shown: Column) -> tuple[Column, ...]:
    return shown.with_interval(f"95 % interval of {shown.name}", source="theirs", oracle="theirs")


def spelled(tree: ast.AST) -> list[str]:
    """The texts of a module that build or hold the name of a part of an interval."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = {END.sub("", node.value)} & set(COLUMNS) if END.search(node.value) else set()
            found += [node.value] if END.fullmatch(node.value) or parts else []
        if isinstance(node, ast.keyword) and node.arg in COLUMNS and COLUMNS[node.arg].part:
            found.append(node.arg)
    return found


def test_no_module_but_the_columns_spells_the_name_of_an_intervals_column():
    modules = [path for path in ROOT.rglob("*.py") if path.parent != ROOT / "columns"]
    assert len(modules) > 200
    found = {str(path.relative_to(ROOT)): spelled(ast.parse(path.read_text(encoding="utf-8"))) for path in modules}
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "code", ["low = f'{name}_low'", "p = name + '_p'", "high = 'quality_high'", "values.update(energy_kwh_low=1.0)"]
)
def test_each_way_of_spelling_such_a_name_is_seen(code):
    assert spelled(ast.parse(code))


def test_every_interval_names_columns_that_name_their_value():
    for shown in COLUMNS.values():
        for name, which in zip(shown.interval.names() if shown.interval else (), ("low", "high", "p"), strict=False):
            assert column(name).part == (shown.name, which)
    parts = [item.name for item in COLUMNS.values() if item.part]
    assert sorted(parts) == sorted(name for item in COLUMNS.values() if item.interval for name in item.interval.names())


def test_a_value_is_followed_by_its_interval_and_its_test():
    assert with_intervals("macs", "drop", "family") == ("macs", "drop", "drop_low", "drop_high", "drop_p", "family")


def test_a_tested_column_has_a_p_of_its_own():
    tested = outside("gain", kind="score", better="higher", show="percent")
    p = PValue(says="p of the gain", source="theirs", oracle="theirs")
    value, low, high, own = tested.with_interval("95 % interval of gain", source="theirs", oracle="theirs", p=p)
    assert value.ends.names() == (low.name, high.name, own.name) == ("gain_low", "gain_high", "gain_p")
    assert (low.better, own.better, own.says) == (None, None, "p of the gain")


def test_a_name_is_registered_once_and_a_refused_call_registers_nothing(others):
    others.register(outside("joules"))
    for again in ("joules", "quality"):
        with pytest.raises(BenchError, match=f"column '{again}' is registered twice: by"):
            others.register(outside("watts"), outside(again))
    assert "watts" not in others


def test_columns_of_others_come_after_ours_in_the_order_of_their_registration(others):
    before = list(others)
    others.register(outside("zeta"), outside("alpha"))
    assert list(others) == [*before, "zeta", "alpha"]


@pytest.mark.parametrize(
    ("mean", "expected"),
    [("arithmetic", (1 + 4 + 16) / 3), ("geometric", 4.0), ("largest", 16), ("sum", 1 + 4 + 16)],
)
def test_an_outside_column_averages_as_it_says_and_so_do_the_ends_of_its_interval(others, row, suite, mean, expected):
    others.register(*with_ends(outside("joules", unit="J", better="lower", mean=mean)))
    records = row("none", 0.8, 0.8, 0.8, values={"joules": 1, "joules_low": 1, "joules_high": 1})
    for task, value in zip(row("svd", 0.8, 0.8, 0.8), (1, 4, 16), strict=True):
        values = {**task.values, "joules": value, "joules_low": value / 2, "joules_high": value * 2}
        records.append(task.model_copy(update={"values": values}))
    row_ = next(each.standing for each in leaderboard(suite, records).places if each.standing.recipe == "svd")
    assert row_.values["joules"] == pytest.approx(expected)
    assert row_.ends("joules") == pytest.approx((expected / 2, expected * 2))


def test_a_column_whose_values_have_no_mean_is_absent_with_the_reason(others, row, suite):
    others.register(outside("joules", mean="none"))
    (place,) = leaderboard(suite, row("none", 0.8, 0.8, 0.8, values={"joules": 1})).places
    assert "has no mean" in place.standing.values["joules"].reason


def test_an_outside_column_ranks_a_track_and_stands_in_its_table_with_unit_direction_and_interval(
    others, row, suite_with
):
    others.register(*with_ends(outside("joules", unit="J", better="lower")))
    suite = suite_with(tracks=[{"name": "green", "rank": "joules"}])
    records = [
        *row("none", 0.8, 0.8, 0.8, values={"joules": 8, "joules_low": 7, "joules_high": 9}),
        *row("svd", 0.7, 0.7, 0.7, values={"joules": 4, "joules_low": 3, "joules_high": 5}),
    ]
    board = leaderboard(suite, records, "green")
    assert [place.standing.recipe for place in board.places] == ["svd", "none"]
    assert "4.00 [3.00, 5.00]" in render(board.table(), "md")
    described = json.loads(render(board.table(), "json"))["columns"]
    assert {"name": "joules", "unit": "J", "better": "lower", "says": "of another package"} in described


def test_what_another_package_measured_stands_on_the_board_and_in_the_table_without_being_asked_for(others, row, suite):
    before = leaderboard(suite, row("none", 0.8, 0.8, 0.8)).table().columns
    others.register(*with_ends(outside("joules")), outside("never"))
    records = row("none", 0.8, 0.8, 0.8, values={"joules": 8, "joules_low": 7, "joules_high": 9})
    for table in (leaderboard(suite, records).table(), table_of(records)):
        at = table.columns.index("joules")
        assert table.columns[at : at + 3] == ("joules", "joules_low", "joules_high")
        assert "never" not in table.columns
    assert leaderboard(suite, row("none", 0.8, 0.8, 0.8)).table().columns == before


def test_power_that_an_outside_column_names_must_be_metered_to_rank(others, row, suite_with):
    others.register(outside("joules", better="lower", power=("their_source",)))
    suite = suite_with(tracks=[{"name": "green", "rank": "joules"}])
    estimated = row("none", 0.8, 0.8, 0.8, values={"joules": 8}, conditions={"theirs": {"their_source": "guess"}})
    board = leaderboard(suite, estimated, "green")
    (place,) = board.places
    assert "joules is estimated" in place.rank.reason
    assert "guess" in place.rank.reason


@pytest.mark.parametrize("group", ["bench.columns", "bench.metrics", "bench.measures"])
def test_a_module_behind_an_entry_point_adds_its_columns_when_a_name_is_not_known(
    others, installed, monkeypatch, tmp_path, group
):
    name = f"made_{group.replace('.', '_')}"
    code = "from bench.columns import COLUMNS, Column\n" + (
        f"COLUMNS.register(Column('{name}_s', says='theirs', kind='measurement', show='seconds', unit='s'))\n"
    )
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint(name="made", value=name, group=group)
    installed(point)
    assert column("macs").name == "macs"
    assert f"{name}_s" not in others._registry._plugins  # a known name asks nobody else
    assert column(f"{name}_s").unit == "s"


def test_a_broken_plug_in_is_named_where_a_column_is_not_found_and_hides_no_other_column(others, installed):
    point = EntryPoint(name="theirs", value="no_such_module_of_theirs", group="bench.measures")
    installed(point)
    assert "macs" in list(others)
    with pytest.raises(UnknownNameError, match=r"no column named 'joules'.*plug-in 'theirs'.*no_such_module_of_theirs"):
        column("joules")


def test_a_ratio_of_means_must_say_of_what():
    with pytest.raises(ValueError, match="needs `of`"):
        outside("kept", mean="ratio of means")
