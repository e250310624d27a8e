"""`bench run --data`, `bench init` and `bench check` on files of one's own, as a user types them."""

from __future__ import annotations

import json

import pytest
from tiny_suite import TINY

ROWS = ["where is my card,card", '"my card, please",card', "I lost my card,card", "which rate,rate", "a rate,rate"]
LINES = [f"{text} {number},{label}\n" for number in range(8) for text, label in (row.split(",") for row in ROWS[2:])]
TRAIN = "message,intent\n" + "".join(LINES)
TEST = "message,intent\n" + "\n".join(ROWS) + "\n"
BUDGET = {
    "length": 8,
    "processes": 2,
    "pairs": 5,
    "seconds": 0.05,
    "patience_seconds": 0.3,
    "sweep_seconds": 0.05,
    "throughput_batch": 2,
    "energy_seconds": 0.2,
    "energy_sample_s": 0.1,
    "attack_examples": 2,
    "attack_queries": 5,
    "train_examples": 8,
}
SETS = [
    "--set",
    "training.epochs=1",
    *(p for key, value in BUDGET.items() for p in ("--set", f"measuring.{key}={value}")),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "support").mkdir()
    (tmp_path / "support" / "train.csv").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "support" / "test.csv").write_text(TEST, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_one_command_runs_own_files_and_its_saved_suite_has_nothing_left_to_do(bench, folder):
    own = ["--data", "support/train.csv", "--validation", "support/test.csv", "--text", "message", "--label", "intent"]
    run = ["run", *own, "--model", "demo-bert", "--max-length", "32", "--recipe", "int8", *SETS]
    done = bench(*run, "--save-suite", "my.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "wrote my.toml" in done.stderr
    (path,) = (folder / "results").glob("support/*/*.json")
    record = json.loads(path.read_text())
    assert str(folder) not in path.read_text()
    assert record["provenance"]["data"]["origin"] == "local files train.csv, test.csv"
    again = bench("run", "my.toml", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "recorded" not in again.stderr
    assert len(list((folder / "results").glob("support/*/*.json"))) == 1
    saved = (folder / "my.toml").read_text(encoding="utf-8")
    assert saved.startswith("# Run it again with: bench run my.toml\n")
    assert 'recipes = ["int8"]' in saved


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "bench: nothing to run. Name a suite (`bench list suites`), or give your own file, for example\n"),
        (["demo", "--text", "a"], "bench: --text needs --data, the file to train on. Suite demo has its own data.\n"),
        (["demo", "--no-header"], "bench: --no-header needs --data"),
        (["demo", "--data", "support/train.csv"], "bench: demo with --data support/train.csv: give a suite or files"),
        (["--data", "train.csv"], "bench: --data train.csv: no such file"),
        (["--data", "support/train.csv", "--label", "intend"], "Did you mean 'intent'? The file has\n  message"),
        (["--data", "support/train.csv", "--kind", "classify"], "--kind: no task kind named 'classify'"),
        (["--data", "support/train.csv", "--metric", "acuracy"], "no classification metric named 'acuracy'. Did you"),
        (
            ["--data", "support/train.csv", "--choice", "intent", "--choice", "a"],
            "--choice: train.csv: no column named",
        ),
        (["demo", "--choice", "a"], "bench: --choice needs --data, the file to train on."),
        (["--data", "support/train.csv"], "suite support has no default model. Give one with --model."),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(command, folder, arguments, message):
    done = command("run", *arguments, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (folder / "results").exists()


def test_init_writes_a_suite_that_can_be_checked_and_says_why(command, folder):
    done = command("init", "support", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "train.csv is train: by its name",
        "test.csv is test: by its name",
        "column 'message' is taken as --text: by its name",
        "column 'intent' is taken as --label: by its name",
        "wrote support/suite.toml. Look at the data with `bench check support/suite.toml`.",
    ]
    checked = command("check", "support/suite.toml", cwd=folder)
    assert checked.returncode == 0, checked.stderr
    assert "train: 24 rows, 3 words in the median, 5 at most" in checked.stdout
    assert "2 labels: rate 16 (66.7%), card 8 (33.3%)" in checked.stdout
    assert "support is valid" in checked.stdout
    assert all(len(line) <= 80 for line in checked.stdout.splitlines()[:-1])
    again = command("init", "support", cwd=folder)
    assert again.returncode == 0
    (folder / "support" / "suite.toml").write_text("changed = 1\n", encoding="utf-8")
    refused = command("init", "support", cwd=folder)
    assert refused.returncode == 2
    assert "support/suite.toml exists already" in refused.stderr


def test_init_sees_candidates_and_writes_a_multiple_choice_task(command, tmp_path):
    row = {"premise": "I ran.", "choice1": "I was late.", "choice2": "I slept.", "question": "cause", "label": 0}
    rows = [{**row, "premise": f"I ran {number} miles.", "label": number % 2} for number in range(4)]
    (tmp_path / "copa").mkdir()
    (tmp_path / "copa" / "train.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in rows), encoding="utf-8")
    (tmp_path / "copa" / "val.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    done = command("init", "copa", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:6] == [
        "column 'premise' is taken as --text: by its name",
        "column 'question' is taken as --pair: by its name",
        "column 'label' is taken as --label: by its name",
        "columns 'choice1' and 'choice2' are taken as --choice: by their names",
    ]
    written = (tmp_path / "copa" / "suite.toml").read_text(encoding="utf-8")
    assert 'kind = "multiple_choice"' in written
    assert 'choices = ["choice1", "choice2"]' in written
    checked = command("check", "copa/suite.toml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "copa: multiple_choice, local files train.jsonl, val.jsonl" in checked.stdout
    assert "copa is valid" in checked.stdout


def test_check_lists_the_problems_of_all_tasks_with_file_and_line(command, folder):
    (folder / "support" / "bad.csv").write_text("message,intent\nhello,card\nworld,nothing\n", encoding="utf-8")
    head, _, _ = TINY.partition("[[tasks]]")
    for name, evaluated in (("first", "bad.csv"), ("second", "gone.csv"), ("third", "test.csv")):
        head += f"""
[[tasks]]
name = "{name}"
kind = "classification"
metrics = ["accuracy"]
[tasks.data]
files = {{ train = "train.csv", validation = "{evaluated}" }}
columns = {{ text = "message", label = "intent" }}
"""
    (folder / "own.toml").write_text(head, encoding="utf-8")
    done = command("check", "own.toml", "--data-dir", "support", cwd=folder)
    assert done.returncode == 1
    assert "bad.csv:3" in done.stdout
    assert "gone.csv" in done.stdout
    assert "third: classification, local files train.csv, test.csv" in done.stdout
    assert "tiny has 2 problems in its data" in done.stdout


def test_check_names_every_problem_of_a_suite(command, folder):
    wrong = TINY.replace('"accuracy"', '"acuracy"').replace(
        "[setting.measuring]", '[setting.measuring]\nskip = ["enrgy"]'
    )
    (folder / "wrong.toml").write_text(wrong, encoding="utf-8")
    done = command("check", "wrong.toml", cwd=folder)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert "'acuracy'" in done.stderr
    assert "'enrgy'" in done.stderr
