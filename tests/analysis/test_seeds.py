"""One seed is not a finding: what is called on how many seeds, in boards, tables, grids, pictures and comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.analysis.compare import compare, side_of
from bench.analysis.grid import Axes, grid_of, pivot
from bench.analysis.leaderboard import leaderboard
from bench.analysis.paired import StoredRecord
from bench.analysis.pareto import pareto
from bench.analysis.seeds import NOT_CALLED, trains
from bench.analysis.table import Absent, table_of
from bench.plan.recipes import load_recipe
from bench.records.record import StageLog
from bench.report.curves import figure_of_curves
from bench.report.plot import figure_of
from bench.report.render import render

TRAINED = (StageLog(method="prune", arguments={"sparsity": 0.97, "budget": 1.333}, seconds=1.0),)
PACKED = (StageLog(method="quantize", arguments={"bits": 8}, seconds=1.0),)


@pytest.fixture
def scored(record):
    """A record of alpha with a quality, its drop of the reference's 0.8, and both intervals."""

    def make(recipe, quality, *, stages=TRAINED, p=0.0004, half=0.03, **changes):
        drop = 0.8 - quality
        kept = quality / 0.8
        values = {"drop_p": p, "accuracy": quality, "flops": 100 * quality}
        for name, value, reach in (("quality", quality, half), ("drop", drop, half), ("retention", kept, half / 0.8)):
            values |= {name: value, f"{name}_low": value - reach, f"{name}_high": value + reach}
        return record("alpha", recipe, quality, stages=() if recipe == "none" else stages, values=values, **changes)

    return make


def row_of(text, recipe):
    return next(line for line in text.splitlines() if f"| {recipe} " in line)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        *((name, False) for name in ("int8", "int8-static", "gobo", "drone", "michel-heads")),
        *((name, True) for name in ("movement", "svd", "magnitude-pruning", "distilled-int8", "hawq", "i-bert")),
        *((name, True) for name in ("universal-transformer", "layerdrop", "low-rank-softmax", "prasanna-s")),
    ],
)
def test_a_recipe_that_trains_or_draws_is_told_from_one_that_does_neither(name, answer, record):
    stages = tuple(
        StageLog(method=each.method, arguments=dict(each.arguments), seconds=1.0) for each in load_recipe(name).stages
    )
    assert trains(record("alpha", name, stages=stages)) is answer


def test_a_method_that_nobody_knows_any_more_counts_as_one_that_trains(record):
    gone = StageLog(method="gone", arguments={}, seconds=1.0)
    invalid = StageLog(method="quantize", arguments={"bits": 99}, seconds=1.0)
    assert trains(record("alpha", "x", stages=(gone,)))
    assert trains(record("alpha", "x", stages=(invalid,)))
    assert not trains(record("alpha", "none"))


def test_a_board_of_one_seed_calls_no_drop_of_a_recipe_that_trains(suite, scored):
    records = [scored("none", 0.8), scored("gates", 0.742), scored("int8", 0.79, stages=PACKED, p=0.4)]
    table = leaderboard(suite, [*records, scored("bits", 0.6, stages=PACKED)], tasks=["alpha"]).table()
    text = render(table, "md")
    assert "5.8% [2.8, 8.8] one seed" in row_of(text, "gates")
    assert "n.s." not in row_of(text, "gates")
    assert "1.0% [-2.0, 4.0] n.s." in row_of(text, "int8")
    assert row_of(text, "bits").count("20.0% [17.0, 23.0] |") == 1
    assert NOT_CALLED.replace("`", "\\`") in text
    assert "(model tiny, seeds 1)" in text
    assert any("a recipe that trains gets no verdict" in note for note in table.notes)
    assert any("examples of one trained model" in note for note in table.notes)
    rows = {row["values"]["recipe"]: row for row in json.loads(render(table, "json"))["rows"]}
    assert rows["gates"]["absent"]["drop_p"] == NOT_CALLED
    assert rows["int8"]["values"]["drop_p"] == 0.4
    assert rows["gates"]["values"]["seeds"] == 1


def test_a_mean_over_tasks_of_one_seed_is_not_called_either(suite, scored):
    records = [item for task in ("alpha", "beta") for item in (scored("gates", 0.6).model_copy(update={"task": task}),)]
    standing = leaderboard(suite, records, tasks=["alpha", "beta"]).places[0].standing
    assert standing.values["drop_p"] == Absent(NOT_CALLED)
    assert standing.values["drop_low"] > 0


def test_a_table_of_records_does_not_call_them(scored):
    text = render(table_of([scored("gates", 0.742), scored("int8", 0.79, stages=PACKED, p=0.4)]), "md")
    assert "one seed" in row_of(text, "gates")
    assert "n.s." in row_of(text, "int8")


def test_two_seeds_stand_as_the_two_values_and_the_interval_in_files_stays_within_the_bounds(suite, scored):
    records = [scored("gates", 0.744), scored("gates", 0.512, seed=1), scored("none", 0.8), scored("none", 0.8, seed=1)]
    table = leaderboard(suite, records, tasks=["alpha"]).table()
    row = row_of(render(table, "md"), "gates")
    assert "62.8% (74.4, 51.2)" in row
    assert "17.2% (5.6, 28.8) n.s." in row
    assert "78.5% (93.0, 64.0)" in row  # retention
    (values,) = (each["values"] for each in json.loads(render(table, "json"))["rows"] if "gates" in str(each))
    assert 0 < values["quality_low"] < 0.05 < 0.95 < values["quality_high"] < 1
    assert -1 < values["drop_low"] < 0 < values["drop_high"] < 1
    assert 0 < values["retention_low"] < values["retention_high"] < 1 / 0.8
    assert values["quality"] == pytest.approx(0.628)
    assert any("two seeds" in note for note in table.notes)


def test_with_several_seeds_a_steady_drop_is_called_and_the_references_is_none(suite, scored):
    qualities = (0.70, 0.71, 0.705)
    records = [scored("gates", quality, seed=seed) for seed, quality in enumerate(qualities)]
    own = {"quality": 0.8, "drop": 0.0, "accuracy": 0.8}  # a reference has no interval of a drop from itself
    records += [scored("none", 0.8, seed=seed).model_copy(update={"values": own}) for seed in range(3)]
    table = leaderboard(suite, records, tasks=["alpha"]).table()
    text = render(table, "md")
    assert "n.s." not in text
    assert "one seed" not in text
    assert "9.5% [" in row_of(text, "gates")
    assert any("examples and 3 seeds" in note for note in table.notes)


def test_a_grid_and_its_curves_say_what_their_intervals_know(suite, cell):
    records = [cell("alpha", 0.7, sparsity=0.5), cell("alpha", 0.5, sparsity=0.9)]
    axes = Axes(rows=("sparsity",), columns=("task",))
    one = grid_of(suite, records, axes)
    assert any("one seed" in note for note in pivot(one).notes)
    again = [cell("alpha", quality - 0.1, seed=1, sparsity=s) for quality, s in ((0.7, 0.5), (0.5, 0.9))]
    two = grid_of(suite, [*records, *again], axes)
    assert "65.0% (70.0, 60.0)" in render(pivot(two), "md")
    legends = [
        " ".join(text.get_text() for text in figure_of_curves(grid).axes[0].get_legend().get_texts()).replace("\n", " ")
        for grid in (one, two)
    ]
    assert "95 % over examples of one seed" in legends[0]
    assert "score bars: both seeds" in legends[1]
    bars = [line for line in figure_of_curves(two).axes[0].lines if line.get_marker() == "_"]
    assert [sorted(round(float(y), 6) for y in line.get_ydata()) for line in bars] == [[60.0, 70.0], [40.0, 50.0]]
    by_seed = grid_of(suite, [*records, *again], Axes(rows=("sparsity",), columns=("seed",)))
    assert by_seed.seeds == 1


def test_a_front_says_what_its_bars_and_its_certainty_know(suite, scored):
    front = pareto(suite, [scored("none", 0.8), scored("gates", 0.742)], ["flops", "quality"], tasks=["alpha"])
    assert any("this does not cover what other seeds would give" in note for note in front.table().notes)
    legend = " ".join(text.get_text() for text in figure_of(front).axes[0].get_legend().get_texts()).replace("\n", " ")
    assert "95 % over examples of one seed" in legend
    packed = [scored("none", 0.8), scored("int8", 0.742, stages=PACKED)]
    still = pareto(suite, packed, ["flops", "quality"], tasks=["alpha"])
    assert not any("other seeds" in note for note in still.table().notes)


def line_of(first, second):
    sides = [
        side_of(name, [StoredRecord(record=item, path=Path("nowhere")) for item in own], with_recipe=False)
        for name, own in (("a", first), ("b", second))
    ]
    return next(each for each in compare(*sides, ["quality"], title="t").lines if each.task == "overall")


def test_a_comparison_on_one_seed_is_called_only_if_both_are_one_trained_model(scored):
    trained = line_of([scored("magnitude", 0.54)], [scored("gates", 0.742)])
    assert trained.change.middle == pytest.approx(0.202)
    assert trained.verdict == Absent(NOT_CALLED)
    assert trained.change.p == Absent(NOT_CALLED)
    assert line_of([scored("int8", 0.79, stages=PACKED)], [scored("gates", 0.5)]).verdict == Absent(NOT_CALLED)
    packed = line_of([scored("none", 0.8)], [scored("bits", 0.6, stages=PACKED)])
    assert packed.verdict == "worse"
    assert packed.change.p == 0.0004


def test_references_that_were_trained_apart_are_two_models(scored):
    def made(recipe, quality, content):
        return scored(recipe, quality, stages=PACKED, provenance={"reference": {"content_hash": content}})

    assert line_of([made("a", 0.8, "one")], [made("b", 0.6, "one")]).verdict == "worse"
    apart = line_of([made("a", 0.8, "one")], [made("b", 0.6, "two")])
    assert "references of alpha that were trained separately" in apart.verdict.reason


def test_costs_are_compared_on_one_seed(record):
    sides = [[record("alpha", name, stages=TRAINED, values={"macs": macs})] for name, macs in (("a", 10), ("b", 5))]
    found = [
        side_of(name, [StoredRecord(record=item, path=Path("nowhere")) for item in own], with_recipe=False)
        for name, own in zip("ab", sides, strict=True)
    ]
    assert {line.verdict for line in compare(*found, ["macs"], title="t").lines} == {"better"}


def test_with_two_seeds_both_differences_stand_and_only_steady_ones_are_called(scored):
    before = [scored("magnitude", quality, seed=seed, half=0.001) for seed, quality in enumerate((0.54, 0.541))]
    after = [scored("gates", quality, seed=seed, half=0.001) for seed, quality in enumerate((0.742, 0.509))]
    unsteady = line_of(before, after)
    assert unsteady.verdict == "no change"
    assert -1 < unsteady.change.interval.low < 0 < unsteady.change.interval.high < 1
    assert unsteady.change.seeds == pytest.approx((0.202, -0.032))
    steady = line_of(
        before, [scored("gates", quality, seed=seed, half=0.001) for seed, quality in enumerate((0.74, 0.742))]
    )
    assert steady.verdict == "better"


def test_text_of_two_seeds_names_both_differences(scored):
    sides = [
        side_of(name, [StoredRecord(record=item, path=Path("nowhere")) for item in own], with_recipe=False)
        for name, own in (
            ("magnitude", [scored("magnitude", 0.54), scored("magnitude", 0.54, seed=1)]),
            ("gates", [scored("gates", 0.742), scored("gates", 0.509, seed=1)]),
        )
    ]
    text = render(compare(*sides, ["quality"], title="t").table(), "md")
    assert "+8.5 points (+20.2, -3.1)" in text
    assert "tested over 2 seeds and the examples" in text
