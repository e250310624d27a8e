"""Records are gathered into sets that may be ranked, wherever below the results folder they lie."""

from __future__ import annotations

import pytest

from bench.base.errors import RecordError, UnknownNameError
from bench.report.survey.sets import result_sets


def sets_of(root, suite):
    return result_sets(root, {suite.name: suite})


def test_folders_at_any_depth_are_sets_of_their_own(file, suite):
    file("alpha", "svd")
    root = file("alpha", "svd", folder="later/duo")
    assert [found.label for found in sets_of(root, suite)] == ["duo", "later/duo"]
    (lone,) = sets_of(root / "later" / "duo", suite)
    assert lone.label == "duo"


def test_what_differs_within_a_folder_is_in_the_label(file, suite):
    file("alpha", "svd")
    root = file("alpha", "svd", setting_id="other")
    assert {found.label for found in sets_of(root, suite)} == {"duo (other)", f"duo ({suite.setting_id})"}


def test_a_set_is_averaged_over_the_tasks_that_have_records_as_a_board_is(file, suite):
    file("alpha", "svd", values={"quality": 0.6})
    root = file("alpha", "none")
    (found,) = sets_of(root, suite)
    (row,) = found.runs("svd")
    assert found.standings.counted == ("alpha",)
    assert row.values["retention"] == pytest.approx(0.6 / 0.8)


def test_a_recipe_that_failed_on_a_task_has_a_row_without_means(file, fail, suite):
    root = file("alpha", "svd")
    file("beta", "none")
    file("alpha", "none")
    fail("beta", "svd")
    fail("alpha", "drone")
    (found,) = sets_of(root, suite)
    (row,) = found.runs("svd")
    assert row.missing == "beta, seed 0: failed in compress: rank 99 is above 32"
    assert found.runs("drone") == []


def test_generated_data_are_no_run(file, suite):
    assert sets_of(file("alpha", "svd", generated=True), suite) == ()


def test_arguments_make_rows_of_one_recipe(file, suite):
    file("alpha", "svd")
    root = file("alpha", "svd[ratio=0.5]")
    (found,) = sets_of(root, suite)
    assert [row.recipe for row in found.runs("svd")] == ["svd", "svd[ratio=0.5]"]


def test_what_cannot_be_read_is_refused_with_what_to_do(file, suite, tmp_path):
    with pytest.raises(RecordError, match="no such folder"):
        result_sets(tmp_path / "nowhere")
    root = file("alpha", "svd")
    with pytest.raises(
        UnknownNameError, match=r"duo \(put its file there, or give it with --suite\): no suite named 'duo'"
    ):
        result_sets(root)
    (written,) = root.glob("**/*.json")
    (written.parent / "copy.json").write_bytes(written.read_bytes())
    with pytest.raises(RecordError, match="two records"):
        sets_of(root, suite)


DUO = """
name = "duo"
title = "Duo"
recipes = ["svd"]
setting = { measuring = { country = "FRA" } }

[[tasks]]
name = "alpha"
kind = "regression"
metrics = ["pearson"]
data = { source = "generated", subset = "any" }
"""


def test_the_file_of_a_suite_may_lie_beside_its_records_but_not_elsewhere(file, suite):
    root = file("alpha", "svd")
    (root / "duo.toml").write_text(DUO, encoding="utf-8")
    with pytest.raises(UnknownNameError, match="put its file there"):
        result_sets(root)
    (root / "duo" / "duo.toml").write_text(DUO, encoding="utf-8")
    (found,) = result_sets(root)
    assert (found.suite.title, found.label) == ("Duo", "duo")
