"""The ELUE score on hand-made curves and records."""

from __future__ import annotations

import pytest

from bench.analysis.elue import elue_score, quality_at
from bench.analysis.leaderboard import leaderboard
from bench.analysis.table import Absent
from bench.base.errors import SuiteError
from bench.records.record import StageLog
from bench.report.render import render
from bench.spec.baseline import Coordinate
from bench.spec.suite import load_suite

TASKS = ("alpha", "beta", "gamma")


def points(*pairs):
    return tuple(Coordinate(flops=flops, quality=quality) for flops, quality in pairs)


CURVE = points((10, 0.5), (20, 0.7), (40, 0.8))
STATED = [
    {"task": task, "points": [point.model_dump() for point in CURVE], "source": "by hand", "verified": task != "beta"}
    for task in TASKS
]
BASELINE = {"title": "made models", "curves": STATED}
BY_RECIPE = {"title": "shallow models", "recipe": "shallow"}


@pytest.fixture
def scored(row):
    """A function that makes the records of one row with the FLOPs of all its tasks."""

    def make(recipe, flops, *qualities, **changes):
        return row(recipe, *qualities, values={"flops": flops}, **changes)

    return make


def values(board):
    return {place.standing.recipe: place.standing.values["elue_score"] for place in board.places}


def test_the_score_by_hand_between_two_points_of_the_curve():
    assert quality_at(CURVE, 15) == pytest.approx(0.6)
    assert quality_at(CURVE, 30) == pytest.approx(0.75)
    assert elue_score(points((15, 0.65)), CURVE) == pytest.approx(0.05)
    assert elue_score(points((15, 0.65), (30, 0.70)), CURVE) == pytest.approx((0.05 - 0.05) / 2)


def test_the_points_of_the_curve_score_zero():
    assert elue_score(CURVE, CURVE) == 0
    assert [elue_score((point,), CURVE) for point in CURVE] == [0, 0, 0]


def test_one_point_more_everywhere_adds_one_point():
    mine = points((12, 0.5), (25, 0.6))
    more = tuple(point.model_copy(update={"quality": point.quality + 0.01}) for point in mine)
    assert elue_score(more, CURVE) - elue_score(mine, CURVE) == pytest.approx(0.01)


def test_a_point_given_twice_counts_once():
    mine = points((12, 0.5), (25, 0.6))
    assert elue_score((*mine, mine[0]), CURVE) == elue_score(mine, CURVE)


@pytest.mark.parametrize(("flops", "says"), [(9, "below the least"), (41, "above the most")])
def test_outside_the_curve_there_is_no_score_but_a_reason(flops, says):
    found = elue_score(points((20, 0.9), (flops, 0.9)), CURVE)
    assert isinstance(found, Absent)
    assert says in found.reason


def test_a_board_has_the_score_on_each_task_and_its_mean(suite_with, scored):
    suite = suite_with(baseline=BASELINE)
    board = leaderboard(suite, [*scored("svd", 15, 0.65, 0.6, 0.7), *scored("none", 40, 0.8, 0.8, 0.8)])
    assert values(board) == {"svd": pytest.approx(0.05), "none": 0}
    by_recipe = {place.standing.recipe: place.standing.scores for place in board.places}
    assert by_recipe["svd"] == pytest.approx({"alpha": 0.05, "beta": 0.0, "gamma": 0.1})
    table = board.table()
    assert {"elue_score", "elue_score:alpha", "quality:alpha"} <= set(table.columns)
    assert table.notes[-1] == (
        "ELUE scores are distances from the curve of made models: the suite's points on alpha, beta, gamma. "
        "The points on beta are not verified."
    )
    assert "alpha, elue score" in render(table, "md")


def test_the_baselines_rows_and_the_reference_are_its_curve_and_score_zero(suite_with, scored):
    suite = suite_with(baseline=BY_RECIPE)
    records = [
        *scored("shallow[layers=1]", 10, 0.5, 0.4, 0.3),
        *scored("shallow[layers=2]", 20, 0.7, 0.6, 0.5),
        *scored("svd", 15, 0.7, 0.6, 0.5),
        *scored("int8", 5, 0.7, 0.6, 0.5),
        *scored("none", 40, 0.9, 0.8, 0.7),
        *scored("between", 30, 0.9, 0.8, 0.7),
    ]
    found = values(leaderboard(suite, records))
    assert found["shallow[layers=1]"] == found["shallow[layers=2]"] == found["none"] == 0
    assert found["between"] == pytest.approx(0.1)
    assert found["svd"] == pytest.approx(0.1)
    assert "5 FLOPs is below the least of the baseline's curve, 10" in found["int8"].reason


def test_a_curve_through_one_row_is_no_curve_and_neither_is_one_with_two_qualities_at_a_cost(suite_with, scored):
    suite = suite_with(baseline=BY_RECIPE)
    one = scored("shallow[layers=1]", 10, 0.5, 0.4, 0.3)
    found = values(leaderboard(suite, [*one, *scored("svd", 10, 0.7, 0.6, 0.5)]))
    assert found["svd"] == Absent("alpha: a curve needs two rows of shallow or the reference of tiny, found 1")
    twice = values(leaderboard(suite, [*one, *scored("shallow[init=fresh]", 10, 0.4, 0.4, 0.3)]))
    assert (
        "two rows of shallow or the reference have 10 FLOPs but different quality" in twice["shallow[layers=1]"].reason
    )


def test_a_row_without_a_task_or_without_flops_has_no_score_but_a_reason(suite_with, scored, row):
    suite = suite_with(baseline=BASELINE)
    board = leaderboard(
        suite, [*scored("svd", 15, 0.65, 0.6), *row("int8", 0.6, 0.6, 0.6, absent={"flops": "unknown"})]
    )
    found = values(board)
    assert found["svd"] == Absent("gamma, seed 0: no record")
    assert found["int8"] == Absent("flops on alpha: unknown")


def test_rows_that_differ_only_in_their_exits_are_points_of_one_model(suite_with, scored):
    suite = suite_with(baseline={**BASELINE, "exits": ["patience"]})

    def exit_at(patience, flops, quality):
        stages = (StageLog(method="early-exit", arguments={"patience": patience}, seconds=1.0),)
        return scored(f"early-exit[patience={patience}]", flops, quality, quality, quality, stages=stages)

    found = values(
        leaderboard(suite, [*exit_at(1, 15, 0.65), *exit_at(2, 30, 0.85), *scored("none", 40, 0.8, 0.8, 0.8)])
    )
    assert found["early-exit[patience=1]"] == found["early-exit[patience=2]"] == pytest.approx((0.05 + 0.1) / 2)
    assert found["none"] == 0


def test_a_track_ranks_by_the_score_and_unscored_rows_have_a_reason(suite_with, scored):
    suite = suite_with(baseline=BASELINE, tracks=[{"name": "score", "rank": "elue_score"}])
    records = [*scored("svd", 15, 0.65, 0.6, 0.7), *scored("none", 40, 0.8, 0.8, 0.8), *scored("int8", 50, 1, 1, 1)]
    board = leaderboard(suite, records, "score")
    assert [(place.standing.recipe, place.rank) for place in board.places[:2]] == [("svd", 1), ("none", 2)]
    assert "above the most" in board.places[2].rank.reason


def test_a_suite_without_a_baseline_shows_no_score(suite, scored):
    board = leaderboard(suite, scored("none", 40, 0.8, 0.8, 0.8))
    assert values(board) == {"none": Absent("suite trio has no baseline")}
    assert not [name for name in board.table().columns if name.startswith("elue_score")]


@pytest.mark.parametrize(
    ("baseline", "says"),
    [
        ({"title": "nothing"}, "needs a recipe, whose rows are the curve, or published curves"),
        ({"title": "two", "curves": [STATED[0], STATED[0]]}, "two curves for the same task: alpha"),
        ({"title": "other", "curves": [{**STATED[0], "task": "alhpa"}]}, "Did you mean 'alpha'"),
        (
            {"title": "flat", "curves": [{**STATED[0], "points": [{"flops": 10, "quality": 0.5}] * 2}]},
            "two points with the same FLOPs: 10",
        ),
    ],
)
def test_a_baseline_that_makes_no_curve_is_refused(suite_with, baseline, says):
    with pytest.raises(SuiteError, match=says):
        suite_with(baseline=baseline)


def test_a_model_of_549_million_parameters_is_in_the_tracks_above_and_not_in_the_smallest(suite_with, row):
    tracks = [track.model_dump() for track in load_suite("elue").tracks if track.name.startswith("params")]
    suite = suite_with(tracks=tracks)
    ranks = {
        track["name"]: leaderboard(suite, row("svd", 0.8, 0.8, 0.8, values={"params": 54_900_000}), track["name"])
        .places[0]
        .rank
        for track in tracks
    }
    assert isinstance(ranks.pop("params-40m"), Absent)
    assert ranks == {"params-55m": 1, "params-70m": 1, "params-110m": 1}
