"""Rules of the board on hand-made records."""

from __future__ import annotations

import math

import pytest

from bench.analysis.leaderboard import leaderboard
from bench.analysis.table import Absent
from bench.base.errors import RecordError, UnknownNameError


def order(board):
    return [(place.rank if isinstance(place.rank, int) else None, place.standing.recipe) for place in board.places]


def test_rank_is_by_the_mean_over_tasks_and_ties_share_a_rank(suite, row):
    records = [
        *row("svd", 0.9, 0.6, 0.6),
        *row("int8", 0.6, 0.6, 0.9),
        *row("none", 0.9, 0.9, 0.9),
        *row("prune", 0.1, 0.1, 0.1),
    ]
    assert order(leaderboard(suite, records)) == [(1, "none"), (2, "int8"), (2, "svd"), (4, "prune")]


def test_a_recipe_without_every_task_is_listed_unranked_and_never_averaged(suite, row, failure):
    records = [*row("none", 0.5, 0.5, 0.5), *row("svd", 0.9, 0.9)]
    board = leaderboard(suite, records, failures=[failure("gamma", "svd"), failure("alpha", "lost")])
    assert order(board) == [(1, "none"), (None, "svd"), (None, "lost")]
    by_recipe = {place.standing.recipe: place for place in board.places}
    reason = Absent("gamma, seed 0: failed in compress: rank 99 is above 32")
    assert by_recipe["svd"].rank == reason
    assert by_recipe["svd"].standing.values["quality"] == reason
    assert by_recipe["svd"].standing.tasks["alpha"] == 0.9
    assert "alpha, seed 0: failed" in by_recipe["lost"].rank.reason
    assert "beta, seed 0: no record" in by_recipe["lost"].rank.reason


def test_a_recipe_with_fewer_seeds_is_not_ranked_beside_others(suite, row):
    records = [*row("none", 0.9, 0.9, 0.9), *row("none", 0.9, 0.9, 0.9, seed=1), *row("svd", 1.0, 1.0, 1.0)]
    board = leaderboard(suite, records)
    assert order(board) == [(1, "none"), (None, "svd")]
    assert "seed 1: no record" in board.places[1].rank.reason


def test_retention_is_the_ratio_of_means_not_the_mean_of_ratios(suite, record):
    records = [
        record(task, "svd", quality, reference={"quality": reference})
        for task, quality, reference in (("alpha", 0.9, 0.9), ("beta", 0.1, 0.4), ("gamma", 0.5, 0.5))
    ]
    values = leaderboard(suite, records).places[0].standing.values
    assert values["retention"] == pytest.approx(1.5 / 1.8)
    assert values["retention"] != pytest.approx((1 + 0.25 + 1) / 3)


def test_excluded_tasks_are_shown_but_not_counted_and_the_notes_say_so(suite_with, row):
    board = leaderboard(suite_with(macro_excludes=["gamma"]), row("svd", 0.8, 0.6, 0.1))
    standing = board.places[0].standing
    assert standing.values["quality"] == pytest.approx(0.7)
    assert standing.tasks["gamma"] == pytest.approx(0.1)
    assert "without gamma" in board.table().notes[0]


def test_a_board_over_chosen_tasks_says_which_it_leaves_out(suite, row):
    board = leaderboard(suite, row("svd", 0.8, 0.6), tasks=["alpha", "beta"])
    assert board.places[0].rank == 1
    assert "2 tasks (alpha, beta, without gamma)" in board.table().notes[0]


def test_an_absent_cost_is_absent_in_the_mean_with_the_task_named(suite, record):
    records = [record(task, "svd", 0.9, values={"macs": 5}) for task in ("alpha", "beta")]
    records.append(record("gamma", "svd", 0.9, absent={"macs": "an operator is unknown"}))
    place = leaderboard(suite, records).places[0]
    assert place.rank == 1
    assert place.standing.values["macs"] == Absent("macs on gamma: an operator is unknown")


def test_a_track_ranks_eligible_rows_and_gives_the_others_a_reason(suite_with, row):
    suite = suite_with(tracks=[{"name": "small", "where": [{"column": "params", "at_most": 40}], "rank": "size_bytes"}])
    records = [
        *row("none", 0.9, 0.9, 0.9, values={"params": 100, "size_bytes": 400}),
        *row("svd", 0.8, 0.8, 0.8, values={"params": 40, "size_bytes": 160}),
        *row("int8", 0.7, 0.7, 0.7, values={"params": 40, "size_bytes": 40}),
        *row("prune", 0.7, 0.7, 0.7, absent={"params": "not counted"}),
    ]
    board = leaderboard(suite, records, "small")
    assert order(board) == [(1, "int8"), (2, "svd"), (None, "none"), (None, "prune")]
    assert board.places[2].rank == Absent("not eligible: params 100 is above 40")
    assert board.places[3].rank == Absent("eligibility unknown: params on alpha: not counted")
    with pytest.raises(UnknownNameError, match="Did you mean 'small'"):
        leaderboard(suite, records, "smal")


@pytest.mark.parametrize(("source", "ranks"), [("rapl", True), ("rapl + nvml", True), ("rapl + constant", False)])
def test_an_estimate_never_ranks_an_energy_track(suite_with, row, source, ranks):
    suite = suite_with(tracks=[{"name": "green", "rank": "energy_kwh"}])
    records = row("svd", 0.8, 0.8, 0.8, values={"energy_kwh": 1e-5}, conditions={"carbon": {"power_source": source}})
    if ranks:
        assert leaderboard(suite, records, "green").places[0].rank == 1
    else:
        reason = f"not eligible: energy_kwh is estimated (power source: {source}), not measured"
        assert leaderboard(suite, records, "green").places[0].rank == Absent(reason)


def test_energy_without_a_stated_source_never_ranks(suite_with, row):
    suite = suite_with(tracks=[{"name": "green", "rank": "energy_kwh"}])
    board = leaderboard(suite, row("svd", 0.8, 0.8, 0.8, values={"energy_kwh": 1e-5}), "green")
    assert "power source: not stated" in board.places[0].rank.reason


def test_the_order_of_records_does_not_matter(suite, row):
    records = [*row("svd", 0.9, 0.8, 0.7), *row("none", 0.9, 0.8, 0.8), *row("int8", 0.9, 0.8, 0.7)]
    assert leaderboard(suite, records[::-1]).table().rows == leaderboard(suite, records).table().rows


def test_no_records_and_another_suites_records_are_refused(suite, record):
    with pytest.raises(RecordError, match="bench run trio"):
        leaderboard(suite, [])
    with pytest.raises(RecordError, match="records are of suite other"):
        leaderboard(suite, [record("alpha", "svd", suite="other")])


def test_a_setting_that_is_not_the_suites_own_is_told(suite, row):
    measuring = {**suite.setting.measuring.model_dump(mode="json"), "length": 32, "skip": ["memory"]}
    setting = {**suite.setting.model_dump(mode="json"), "measuring": measuring}
    board = leaderboard(suite, row("svd", 0.9, 0.9, 0.9, setting_id="00000000", setting=setting))
    own = f"Setting 00000000 is not the suite's own ({suite.setting_id})"
    assert board.table().notes[2] == f"{own}: measuring.length: 32 instead of 128."


def test_times_of_one_process_are_told_to_have_too_narrow_intervals(suite, record):
    def notes(**conditions):
        values = {"quality": 0.8, "speedup": 2.0}
        records = [record(task, "svd", values=values, conditions=conditions) for task in ("alpha", "beta", "gamma")]
        return " ".join(leaderboard(suite, records).table().notes)

    assert "single process" in notes()
    assert "single process" in notes(latency={"processes": 1})
    assert "single process" not in notes(latency={"processes": 5})


def quality(middle, half, **more):
    return {"quality": middle, "quality_low": middle - half, "quality_high": middle + half, **more}


def test_the_interval_of_a_boards_quality_adds_the_tasks_half_widths_in_quadrature(suite, record):
    halves = {"alpha": 0.03, "beta": 0.04, "gamma": 0.12}  # 3, 4, 12, 13: a right-angled box
    records = [record(task, "svd", values=quality(0.6, half)) for task, half in halves.items()]
    values = leaderboard(suite, records).places[0].standing.values
    assert values["quality_low"] == pytest.approx(0.6 - 0.13 / 3)
    assert values["quality_high"] == pytest.approx(0.6 + 0.13 / 3)


def test_one_task_and_one_seed_keep_the_records_own_interval_and_test(suite, record):
    found = {**quality(0.6, 0.03), "drop": 0.2, "drop_low": 0.1, "drop_high": 0.35, "drop_p": 0.002}
    values = leaderboard(suite, [record("alpha", "svd", values=found)], tasks=["alpha"]).places[0].standing.values
    assert {name: values[name] for name in found} == found


def test_several_seeds_give_an_interval_even_where_no_record_has_one(suite, record):
    records = [record("alpha", "svd", value, seed=seed) for seed, value in enumerate((0.5, 0.6, 0.7))]
    values = leaderboard(suite, records, tasks=["alpha"]).places[0].standing.values
    half = 4.302652729911275 * 0.1 / 3**0.5  # t at 0.975 with 2 degrees of freedom
    scaled = math.log(1.6 / 0.4), half * 2 / (1.6 * 0.4)  # logit of a correlation from -1 to 1, and its slope
    for end, sign in (("low", -1), ("high", 1)):
        assert values[f"quality_{end}"] == pytest.approx(2 / (1 + math.exp(-(scaled[0] + sign * scaled[1]))) - 1)


def test_one_seed_without_an_interval_leaves_the_ends_absent_with_the_records_reason(suite, row):
    values = leaderboard(suite, row("svd", 0.5, 0.5, 0.5)).places[0].standing.values
    assert values["quality_low"] == Absent("quality_low on alpha: the record has no such column")


def test_the_interval_of_a_boards_retention_is_first_order_that_of_the_ratio_of_means(suite, record):
    cells = {"alpha": (0.9, 0.9, 0.02), "beta": (0.1, 0.4, 0.08), "gamma": (0.5, 0.5, 0.03)}  # quality, reference, half
    records = []
    for task, (own, reference, half) in cells.items():
        kept = own / reference
        values = {
            "retention": kept,
            "retention_low": kept - half / reference,
            "retention_high": kept + half / reference,
        }
        records.append(record(task, "svd", own, reference={"quality": reference}, values=values))
    found = leaderboard(suite, records).places[0].standing.values
    half = (0.02**2 + 0.08**2 + 0.03**2) ** 0.5 / 1.8  # of the sum of qualities, over the sum of references
    assert found["retention_low"] == pytest.approx(1.5 / 1.8 - half)
    assert found["retention_high"] == pytest.approx(1.5 / 1.8 + half)


def test_a_boards_drop_is_tested_by_the_interval_of_its_mean(suite, record):
    sure = {"drop": 0.02, "drop_low": 0.01, "drop_high": 0.03, "drop_p": 0.5}
    unsure = {"drop": 0.02, "drop_low": -0.06, "drop_high": 0.1, "drop_p": 0.5}
    together = [record(task, "svd", values=sure) for task in ("alpha", "beta", "gamma")]
    assert leaderboard(suite, together).places[0].standing.values["drop_p"] < 0.001
    mixed = [*together[:2], record("gamma", "svd", values=unsure)]
    values = leaderboard(suite, mixed).places[0].standing.values
    assert values["drop_low"] < 0 < values["drop_high"]
    assert values["drop_p"] > 0.05


def test_speedups_at_real_lengths_stand_beside_the_others_as_geometric_means_if_they_were_measured(suite, record):
    times = {"alpha": 1.0, "beta": 2.0, "gamma": 4.0}
    assert "speedup_real" not in leaderboard(suite, [record(task, "svd") for task in times]).table().columns
    board = leaderboard(suite, [record(task, "svd", values={"speedup_real": each}) for task, each in times.items()])
    columns = board.table().columns
    assert columns.index("speedup_real") > columns.index("speedup")
    assert board.places[0].standing.values["speedup_real"] == pytest.approx(2.0)  # the cube root of 8, not 7 / 3
