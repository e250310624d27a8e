"""A package of somebody else adds one plug-in of each kind: it is listed, checked, run to a board and reported."""

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

BELONGS_TO = {
    "suites": ["outside"],
    "recipes": ["drop-one", "halved", "kept-rows", "left-early", "rerun", "thinned", "told"],
    "methods": ["drop-last", "halve"],
    "choices": ["absolute", "lowest", "rows", "inner", "margin", "share-of-row", "shouting"],
    "measures": ["depth"],
    "columns": ["balanced_accuracy", "layers_run"],
}


def test_the_page_on_plug_ins_has_every_group_and_the_package_one_plug_in_of_each_row():
    sources = [path.read_text("utf-8") for path in (ROOT / "bench").rglob("*.py")]
    there = {group for source in sources for group in re.findall(r'group="(bench\.\w+)"', source)}
    page = (ROOT / "docs" / "methods.md").read_text("utf-8")
    rows = [re.findall(r"`(bench\.\w+)`", line.split("|")[2]) for line in page.splitlines() if line.startswith("|")]
    assert {group for row in rows for group in row} == there
    used = tomllib.loads((HERE / "outside" / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    assert used.keys() <= there
    assert all(used.keys() & set(row) for row in rows if row)


@pytest.fixture(scope="module")
def asked(outside):
    """What the commands of the next test say."""
    lists = [["list", kind, "--format", "json"] for kind in BELONGS_TO]
    return outside.several(*lists, *(["show", names[0]] for names in BELONGS_TO.values()))


@pytest.mark.parametrize("kind", BELONGS_TO)
def test_what_the_package_adds_is_listed_and_shown(asked, kind):
    listed = asked["list", kind, "--format", "json"]
    assert (listed.returncode, listed.stderr) == (0, "")
    names = {row["values"]["name"] for row in json.loads(listed.stdout)["rows"]}
    assert names >= set(BELONGS_TO[kind])
    shown = asked["show", BELONGS_TO[kind][0]]
    assert (shown.returncode, shown.stderr) == (0, "")


def test_the_page_of_columns_says_all_that_the_package_declares(outside):
    page = outside("list", "columns", "--format", "md").stdout
    (line,) = (line for line in page.splitlines() if "layers_run" in line)
    for part in ("layers that run for one example", "lower", "depth", "the package outside"):
        assert part in line


def test_its_suite_is_sound(outside):
    done = outside("check", "outside")
    assert (done.returncode, done.stderr) == (0, "")
    assert "outside is valid: 1 task x 8 recipes" in done.stdout


def test_its_names_are_suggested(outside):
    said = outside.several(["show", "drop-lst"], ["show", "layers_rum"])
    assert "Did you mean 'drop-last'?" in said["show", "drop-lst"].stderr
    assert "Did you mean 'layers_run'?" in said["show", "layers_rum"].stderr


@pytest.fixture(scope="module")
def ran(outside):
    """What the run of the package's suite said; its records lie in the environment's folder."""
    done = outside("run", "outside")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows_of(done):
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.mark.slow
def test_its_suite_runs_to_a_board_that_its_column_ranks(outside, ran):
    assert "drop-one" in ran
    board = rows_of(outside("leaderboard", "outside", "--track", "shallow", "--format", "csv"))
    assert board[0]["recipe"] == "told"
    assert {row["recipe"] for row in board} == {
        *("none", "drop-one", "kept-rows", "halved", "thinned", "told", "left-early", "rerun"),
    }


@pytest.mark.slow
def test_its_columns_are_in_the_table(outside, ran):
    columns = ["--column", "layers_run", "--column", "balanced_accuracy", "--column", "size_bytes"]
    rows = {row["recipe"]: row for row in rows_of(outside("table", "outside", *columns, "--format", "csv"))}
    assert {name: float(row["layers_run"]) for name, row in rows.items()} == {
        **dict.fromkeys(["none", "kept-rows", "halved", "thinned", "left-early", "rerun"], 4.0),
        "drop-one": 3.0,
        "told": 2.0,
    }
    assert all(0 <= float(row["balanced_accuracy"]) <= 1 for row in rows.values())
    assert float(rows["halved"]["size_bytes"]) < float(rows["none"]["size_bytes"])


@pytest.mark.slow
def test_its_record_holds_what_each_plug_in_gave(outside, ran):
    paths = sorted((outside.folder / "results" / "outside").rglob("*.json"))
    records = {record["recipe"]: record for record in (json.loads(path.read_text("utf-8")) for path in paths)}
    record = records["drop-one"]
    assert record["task_kind"] == "stars"
    assert record["provenance"]["data"]["origin"] == "the package outside"
    assert (record["values"]["layers_run"], record["reference"]["layers_run"]) == (3, 4)
    assert records["rerun"]["conditions"]["runtime"]["runtime"]["runtime"] == "again"
    assert "shouting" in json.dumps(record["conditions"]["attack"])
    assert records["halved"]["values"]["quality"] == pytest.approx(records["none"]["values"]["quality"], abs=0.1)


@pytest.mark.slow
def test_an_architecture_of_the_package_is_compressed_by_a_method_of_bench(outside, tokenizer):
    from transformers import ErnieConfig, ErnieForSequenceClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    labels = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    model = ErnieForSequenceClassification(
        ErnieConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes, **labels)
    )
    model.save_pretrained(outside.folder / "ernie")
    tokenizer.save_pretrained(outside.folder / "ernie")
    done = outside(
        "run", "outside", "--model", outside.folder / "ernie", "--recipe", "int8", "--results", "ernie-results"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = outside("table", "outside", "--results", "ernie-results", "--column", "layers_run", "--format", "csv")
    assert {row["recipe"]: float(row["layers_run"]) for row in rows_of(table)} == {"int8": 2.0}


READ = """
from pathlib import Path
from bench.spec.suite import Task
from bench.tasks.data import load_data, settled
data = {"source": "films", "subset": "reviews"}
task = settled(Task(name="t", kind="classification", metrics=("accuracy",), data=data), data_dir=Path("."))
print(task.labels, [example.text for example in load_data(task, data_dir=Path(".")).splits["train"]])
"""


def test_its_data_set_is_read_with_its_transform(outside):
    (outside.folder / "films").mkdir()
    for split in ("train", "test"):
        (outside.folder / "films" / f"{split}.csv").write_text("said,verdict\nso good,yes\nso bad,no\n", "utf-8")
    done = outside("-c", READ, python=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "('no', 'yes') ['SO GOOD', 'SO BAD']"
