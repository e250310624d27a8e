"""`bench submit` as a user types it, if nothing was run yet."""

from __future__ import annotations

import shutil

import pytest

from bench.spec.suite import SUITES

PAIRS = "".join(f"{row}\tthe film is {row}\tit was {row}\t{row % 2}\n" for row in range(8))


@pytest.fixture
def folder(tmp_path):
    """A copy of the suite `glue`, and WNLI in its layout."""
    shutil.copy(SUITES.path("glue"), tmp_path / "mine.toml")
    (tmp_path / "data" / "WNLI").mkdir(parents=True)
    for split in ("train", "dev"):
        path = tmp_path / "data" / "WNLI" / f"{split}.tsv"
        path.write_text(f"index\tsentence1\tsentence2\tlabel\n{PAIRS}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("suite", ["glue", "mine.toml"])
def test_without_artifacts_the_command_that_makes_them_is_named_as_it_must_be_typed(command, folder, suite):
    options = ["--model", "demo-bert", "--recipe", "int8", "--task", "wnli", "--data-dir", "data"]
    done = command("submit", suite, "--benchmark", "glue", *options, cwd=folder)
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert said[0] == "bench: GLUE: no file can be written:"
    assert said[1].endswith(", AX.tsv: no chosen task of the suite has its data")
    assert said[2] == (
        f"  WNLI.tsv: no artifact of int8 is stored. `bench run {suite} --model demo-bert --recipe int8 --task wnli "
        "--seed 0 --data-dir data` makes it; give it and submit the same --set, --labels, --device and --cache."
    )
    assert not (folder / "submission").exists()
