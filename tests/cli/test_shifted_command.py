"""`bench table SUITE --shifted` on the published records, whose outputs per example stand beside them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from pyarrow import parquet

RECORDS = Path(__file__).parents[2] / "results" / "shifted"
LEAST_GAP = 0.001  # below it a ratio of gaps means nothing


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The published records of SST-2, which is scored by accuracy, in a folder of results."""
    folder = tmp_path_factory.mktemp("published") / "results"
    for path in RECORDS.glob("*/sst2--*"):
        kept = folder / "shifted" / path.parent.name
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, kept)
    return folder


def accuracy(path, split, model="artifact"):
    """The share of a split's examples for which a model's largest logit is that of the truth, and their number."""
    rows = [row for row in parquet.read_table(path).to_pylist() if row["split"] == split]
    hits = [row[model].index(max(row[model])) == row["truth"] for row in rows]
    return sum(hits) / len(hits), len(hits)


def test_quality_gap_and_relative_bias_of_every_set_are_those_of_the_stored_outputs(command, results, tmp_path):
    done = command("table", "shifted", "--shifted", "--results", results, "--format", "csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    records = {json.loads(path.read_text())["recipe"]: path for path in results.glob("shifted/*/*.json")}
    sets = ("advglue", "counterfactual", "imdb")
    assert sorted((row["recipe"], row["set"]) for row in rows) == sorted(
        (name, one) for name in records for one in sets
    )
    for row in rows:
        beside = records[row["recipe"]]
        gaps = {}
        for model in ("artifact", "reference"):
            inside, _ = accuracy(beside.with_suffix(".predictions.parquet"), "validation", model)
            outside, examples = accuracy(beside.with_suffix(".shifted.parquet"), f"shifted:{row['set']}", model)
            gaps[model] = inside - outside
            if model == "artifact":
                assert (row["part"], int(row["examples"])) == ("all", examples)
                assert float(row["ood_quality"]) == pytest.approx(outside, abs=1e-12)
                assert float(row["ood_gap"]) == pytest.approx(gaps[model], abs=1e-12)
        if gaps["reference"] > LEAST_GAP:
            assert float(row["ood_relative_bias"]) == pytest.approx(gaps["artifact"] / gaps["reference"], rel=1e-9)
        else:
            assert row["ood_relative_bias"] == ""
            assert "a ratio of gaps needs more than 0.001" in row["absent"]
    assert {row["ood_relative_bias"] == "" for row in rows} == {True, False}


def test_the_table_of_sets_has_columns_of_its_own(command, results, tmp_path):
    done = command("table", "--shifted", "--column", "accuracy", "--results", results, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "bench: --shifted has columns of its own. Leave out --column or --shifted.\n"
