"""Models that share a name are told apart by content, everywhere, and others keep theirs."""

from pathlib import Path

import pytest

from bench.analysis.comparable import comparable
from bench.analysis.compare import compare, side_of
from bench.analysis.grid import Axes, grid_of
from bench.analysis.leaderboard import leaderboard
from bench.analysis.membership import is_called, told_apart
from bench.analysis.paired import StoredRecord
from bench.analysis.pareto import pareto
from bench.analysis.table import table_of
from bench.base.errors import RecordError
from bench.library.results import Results, _told_apart
from bench.report.survey.sets import result_sets

ONE, TWO = "1" * 64, "2" * 64
NAMES = ["tiny@11111111", "tiny@22222222"]


def holding(content):
    return {} if content is None else {"model": {"fingerprint": content}}


@pytest.fixture
def made(record):
    """A function that makes the reference and SVD on three tasks of a model with this content."""

    def build(content, model="tiny", quality=0.9):
        return [
            record(
                task,
                recipe,
                quality,
                key=f"{task}-{recipe}-{content}",
                model=model,
                provenance=holding(content),
                values={"macs": 100},
            )
            for task in ("alpha", "beta", "gamma")
            for recipe in ("none", "svd")
        ]

    return build


def test_one_content_keeps_its_name_whether_it_is_known_or_not(made, failure):
    for records in (made(ONE), made(None), [*made(ONE), *made(None)], [*made(ONE), *made(TWO, "other")]):
        apart = told_apart(records, [failure("alpha", "svd")])
        assert apart.records == records
        assert apart.notes == ()


def test_two_contents_of_one_name_are_named_by_their_fingerprints_and_so_are_their_failures(made, failure):
    failures = [failure("alpha", "x", model_fingerprint=TWO), failure("alpha", "y")]
    apart = told_apart([*made(ONE), *made(TWO), *made(None)], failures)
    assert [each.model for each in apart.records[::6]] == [*NAMES, "tiny"]
    assert [each.model for each in apart.failures] == [NAMES[1], "tiny"]
    assert apart.notes == (
        "2 different models are called tiny: tiny@11111111, tiny@22222222. Give each its own name with "
        "`bench run --name`.",
    )
    again = told_apart(apart.records, apart.failures)
    assert (again.records, again.notes) == (apart.records, ())


def test_boards_fronts_tables_and_grids_show_both(made, suite):
    records = [*made(ONE), *made(TWO, quality=0.5)]
    board = leaderboard(suite, records).table()
    assert sorted({row["model"] for row in board.rows}) == NAMES
    assert any("called tiny" in note for note in board.notes)
    front = pareto(suite, records, ["macs", "quality"]).table()
    assert any("called tiny" in note for note in front.notes)
    table = table_of(records)
    assert sorted({row["model"] for row in table.rows}) == NAMES
    assert any("called tiny" in note for note in table.notes)
    grid = grid_of(suite, records, Axes(rows=("model",), columns=("recipe",)))
    assert {row[0] for row in grid.rows} >= set(NAMES)


def measured(records):
    return [StoredRecord(record=item, path=Path("nowhere")) for item in records]


def test_a_comparison_pairs_each_model_with_itself(made):
    (found,) = _told_apart([Results(tuple(measured([*made(ONE), *made(TWO)])))])
    sides = [
        side_of(name, [item for item in found.found if item.record.recipe == name], with_recipe=False)
        for name in ("none", "svd")
    ]
    done = compare(*sides, ["quality"], title="t")
    assert {line.row for line in done.lines} == {(name,) for name in NAMES}
    assert not any("not the same" in note for note in done.notes)


def test_a_comparison_of_folders_says_if_a_model_of_the_same_name_holds_something_else(made):
    sides = [side_of(name, measured(made(content)), with_recipe=True) for name, content in (("a", ONE), ("b", TWO))]
    done = compare(*sides, ["quality"], title="t")
    said = "Model tiny differs between the two sides: its content is 11111111 in A and 22222222 in B."
    assert said in done.notes


def test_a_name_that_is_shared_in_one_folder_is_told_apart_in_the_other():
    assert is_called("tiny@11111111", "tiny")
    assert is_called("tiny@11111111", "tiny@11111111")
    assert not is_called("tiny@11111111", "tin")
    assert not is_called("tiny", "tiny@11111111")


def test_what_makes_two_records_of_one_cell_is_named_and_not_guessed(record):
    def of(key, data, version):
        provenance = {**holding(ONE), "data": {"fingerprint": data}, "versions": {"torch": version, "numpy": key}}
        return record("alpha", "svd", key=key, provenance=provenance)

    with pytest.raises(RecordError, match=r"two records \(a, b\).*differ in data: dd against ee; torch: 1 against 2\."):
        comparable([of("a", "dd", "1"), of("b", "ee", "2")])
    with pytest.raises(RecordError, match="do not show how their inputs differ"):
        comparable([of("a", "dd", "1"), of("b", "dd", "1")])


def test_the_survey_has_a_set_for_each_content(tmp_path, made, suite):
    from bench.records.record import write_record

    for content in (ONE, TWO):
        for item in made(content):
            write_record(tmp_path / "trio" / "m1" / f"{item.key}.json", item)
    sets = result_sets(tmp_path, {suite.name: suite})
    assert [found.model for found in sets] == NAMES
    assert [found.label for found in sets] == [f"trio ({name})" for name in NAMES]
