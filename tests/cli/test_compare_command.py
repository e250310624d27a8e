"""`bench compare` and the front's reference point, from the command line inside this process."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from bench.base.errors import RecordError, UnknownNameError
from bench.cli import app
from bench.records.record import Record, write_record

BASE = {
    "key": "k",
    "suite": "glue",
    "suite_version": 1,
    "generated": False,
    "task": "sst2",
    "task_version": 1,
    "task_kind": "classification",
    "model": "tiny",
    "family": "pruning",
    "seed": 0,
    "stages": (),
    "setting": {"measuring": {"threads": 1}},
    "setting_id": "s1",
    "machine": {"cores": 2},
    "machine_id": "m1",
    "created": "2026-11-22T10:00:00Z",
    "reference": {"quality": 0.9},
    "absent": {},
    "samples": {},
    "conditions": {},
    "warnings": (),
    "provenance": {},
    "spans_s": {},
}


def file(folder, recipe, *, size=100, **changes):
    values = {"quality": 0.8, "size_bytes": size, "flops": size, **changes.pop("values", {})}
    data = {**BASE, "recipe": recipe, "recipe_base": recipe, "values": values, **changes}
    name = "--".join(str(data[key]) for key in ("task", "model", "recipe", "seed", "machine_id", "setting_id"))
    write_record(folder / data["suite"] / data["machine_id"] / f"{name}.json", Record(**data))


def call(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def results(tmp_path):
    file(tmp_path, "none", size=100)
    file(tmp_path, "svd", size=50)
    return tmp_path


def test_two_recipes_are_compared_and_the_suite_is_found_in_the_records(results):
    done = call("compare", "none", "svd", "--results", results, "--column", "size_bytes", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["task"], row["verdict"]) for row in rows] == [("overall", "better"), ("sst2", "better")]
    assert [float(row["change"]) for row in rows] == pytest.approx([0.5, 0.5])


def test_the_exit_status_tells_ci_of_a_change_for_the_worse_only(results):
    common = ("--results", results, "--column", "size_bytes", "--fail-on", "worse")
    better, worse = call("compare", "none", "svd", *common), call("compare", "svd", "none", *common)
    assert (better.exit_code, worse.exit_code) == (0, 1)
    assert "worse overall: size_bytes" in worse.stderr
    assert call("compare", "svd", "none", *common[:-2]).exit_code == 0
    assert call("compare", "svd", "none", *common, "--threshold", "1.5").exit_code == 0


def test_missing_records_fail_unless_they_are_allowed_and_each_is_named(results):
    file(results, "none", task="mrpc")
    common = ("--results", results, "--column", "size_bytes")
    for asked in ((), ("--fail-on", "worse"), ("--fail-on", "worse", "--fail-on", "missing")):
        done = call("compare", "none", "svd", *common, *asked)
        assert done.exit_code == 1
        assert "missing: mrpc: no record of svd" in done.stderr
        assert "overall" in done.stdout  # the table is there all the same
    allowed = call("compare", "none", "svd", *common, "--fail-on", "worse", "--allow-missing")
    assert (allowed.exit_code, allowed.stderr) == (0, "")
    assert call("compare", "svd", "none", *common).exit_code == 0  # more than was asked for is not missing
    with pytest.raises(RecordError, match="contradict each other"):
        call("compare", "none", "svd", *common, "--fail-on", "missing", "--allow-missing")


def test_a_recipe_that_the_candidates_folder_lacks_is_missing(results, tmp_path):
    file(tmp_path / "new", "none", size=100)
    done = call("compare", results / "glue", tmp_path / "new", "--column", "size_bytes", "--fail-on", "worse")
    assert done.exit_code == 1
    assert f"missing: tiny, svd: no record of {tmp_path / 'new'}" in done.stderr


def test_an_invalid_speedup_does_not_pass_silently(results):
    file(results, "bad", absent={"speedup": "the timing never became stable"})
    file(results, "fine", values={"speedup": 2.0, "speedup_low": 1.9, "speedup_high": 2.1})
    common = ("--results", results, "--column", "speedup", "--fail-on", "worse")
    one = call("compare", "fine", "bad", *common)
    assert one.exit_code == 1
    assert (
        "missing: tiny: speedup on sst2: no value of B: speedup on sst2: the timing never became stable" in one.stderr
    )
    both = call("compare", "svd", "bad", *common)
    assert both.exit_code == 1
    assert "no value of A and B" in both.stderr


def test_a_column_without_a_verdict_is_said_and_fails_if_that_is_asked_for(results):
    common = ("compare", "none", "svd", "--results", results, "--column", "quality")
    said = call(*common, "--fail-on", "worse")
    assert said.exit_code == 0
    assert (
        "no verdict: tiny: quality: no verdict on quality: a record was stored without its predictions" in said.stderr
    )
    assert call(*common, "--fail-on", "undecided").exit_code == 1
    assert call(*common).stderr == ""


def test_two_folders_are_compared_recipe_by_recipe(results, tmp_path):
    file(tmp_path / "new", "none", size=100)
    file(tmp_path / "new", "svd", size=40)
    done = call("compare", results / "glue", tmp_path / "new", "--column", "size_bytes", "--format", "json")
    rows = [row["values"] for row in json.loads(done.stdout)["rows"] if row["values"]["task"] == "overall"]
    assert [(row["recipe"], row["verdict"]) for row in rows] == [("none", "no change"), ("svd", "better")]
    assert [row["change"] for row in rows] == pytest.approx([1.0, 0.8])


def test_settings_that_differ_are_refused_with_the_keys(results, tmp_path):
    file(tmp_path, "int8", setting={"measuring": {"threads": 2}}, setting_id="s2")
    with pytest.raises(RecordError, match=r"The settings differ in measuring\.threads: 1 against 2\."):
        call("compare", "none", "int8", "--results", results)


def test_several_suites_unknown_recipes_and_conditions_are_refused_with_what_to_do(results):
    with pytest.raises(UnknownNameError, match="Did you mean 'svd'"):
        call("compare", "none", "svdd", "--results", results)
    with pytest.raises(UnknownNameError, match="Did you mean 'worse'"):
        call("compare", "none", "svd", "--results", results, "--fail-on", "worst")
    file(results, "none", suite="demo")
    with pytest.raises(RecordError, match=r"Several suites found. Choose one with --suite: demo, glue"):
        call("compare", "none", "svd", "--results", results)
    assert call("compare", "none", "svd", "--results", results, "--suite", "glue").exit_code == 0


def test_the_fronts_reference_point_is_read_from_the_command_line(results):
    common = ("pareto", "glue", "--x", "flops", "--y", "quality", "--results", results)
    done = call(*common, "--reference", "flops=200,quality=0.5", "--format", "md")
    assert "100.0% of the box from the reference point (flops 200, quality 0.5)" in done.stdout
    with pytest.raises(RecordError, match="expected COLUMN=NUMBER"):
        call(*common, "--reference", "flops")
