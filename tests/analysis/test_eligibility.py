"""Why a row may be ranked in a track or not: bounds, floors relative to the reference, devices and measured energy."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bench.analysis.leaderboard import leaderboard
from bench.analysis.table import Absent
from bench.spec.suite import Condition, load_suite

GIB, MIB = 2**30, 2**20
METERED = {"carbon": {"power_source": "rapl"}}


def ranks(board):
    return {place.standing.recipe: place.rank for place in board.places}


def tracks_of(name):
    return [track.model_dump(exclude_defaults=True) for track in load_suite(name).tracks]


def answering(row, recipe, exact_match, system_bytes):
    return row(recipe, 0.5, 0.5, 0.5, values={"exact_match": exact_match, "system_bytes": system_bytes})


@pytest.mark.parametrize(("track", "bound"), [("6-gib", 6 * GIB), ("500-mib", 500 * MIB)])
def test_a_program_of_exactly_the_bound_is_eligible_and_one_byte_more_is_not(suite_with, row, track, bound):
    suite = suite_with(tracks=tracks_of("efficientqa"))
    records = [*answering(row, "none", 0.3, bound + 1), *answering(row, "svd", 0.2, bound)]
    found = ranks(leaderboard(suite, records, track))
    assert found["svd"] == 1
    assert found["none"] == Absent(f"not eligible: system_bytes {bound + 1:,} is above {bound:,}")


def test_the_smallest_program_with_a_quarter_right_wins_and_those_below_are_left_out(suite_with, row):
    suite = suite_with(tracks=tracks_of("efficientqa"))
    records = [
        *answering(row, "none", 0.5, 7 * GIB),
        *answering(row, "svd", 0.25, 3 * GIB),
        *answering(row, "int8", 0.4, 2 * GIB),
        *answering(row, "prune", 0.2499, 1),
    ]
    found = ranks(leaderboard(suite, records, "smallest"))
    assert (found["int8"], found["svd"], found["none"]) == (1, 2, 3)
    assert found["prune"] == Absent("not eligible: exact_match 0.2499 is below 0.25")
    assert ranks(leaderboard(suite, records, "unrestricted")) == {"none": 1, "int8": 2, "svd": 3, "prune": 4}


def inference(row, recipe, quality, energy, *, device="cpu", conditions=METERED):
    more = {"values": {"energy_kwh": energy}, "conditions": conditions, "machine_facts": {"device": device}}
    return row(recipe, quality, quality, quality, **more)


def test_below_the_floor_a_row_is_unranked_with_the_distance_and_the_others_go_by_energy(suite_with, row):
    suite = suite_with(tracks=tracks_of("sustainlp"))
    records = [
        *inference(row, "none", 0.8, 4e-4),
        *inference(row, "svd", 0.76, 2e-4),
        *inference(row, "int8", 0.79, 1e-4),
        *inference(row, "prune", 0.7, 1e-6),
    ]
    found = ranks(leaderboard(suite, records, "cpu"))
    assert (found["int8"], found["svd"], found["none"]) == (1, 2, 3)
    expected = "not eligible: quality 0.7 is 0.06 below the floor of 0.76, 0.95 of the reference's 0.8"
    assert found["prune"] == Absent(expected)


def test_a_row_says_every_rule_that_it_breaks(suite_with, row):
    suite = suite_with(tracks=tracks_of("sustainlp"))
    load_model = {"carbon": {"power_source": "load model"}}
    records = [
        *inference(row, "none", 0.8, 4e-4, conditions=load_model),
        *inference(row, "svd", 0.4, 2e-4, conditions=load_model),
    ]
    board = leaderboard(suite, records, "gpu-high")
    found = ranks(board)
    estimated = "energy_kwh is estimated (power source: load model), not measured"
    assert found["none"] == Absent(f"not eligible: measured on a CPU, not on a GPU; {estimated}")
    assert found["svd"] == Absent(
        "not eligible: measured on a CPU, not on a GPU; quality 0.4 is 0.392 below the floor of 0.792, 0.99 of the "
        f"reference's 0.8; {estimated}"
    )
    notes = " ".join(board.table().notes)
    assert "quality at least 0.99 of the reference's and measured on a GPU. The bounds were not found" in notes
    assert "Run the suite on a machine with a wall meter, RAPL or NVML" in notes


def test_without_the_references_row_a_floor_cannot_be_checked(suite_with, row):
    suite = suite_with(tracks=tracks_of("sustainlp"))
    (reason,) = ranks(leaderboard(suite, inference(row, "svd", 0.8, 2e-4), "cpu")).values()
    assert reason == Absent("eligibility unknown: no row of the reference, of whose quality at least 0.95 is asked for")


def test_a_condition_needs_a_bound():
    with pytest.raises(ValidationError, match="at_least_of_reference"):
        Condition(column="quality")
