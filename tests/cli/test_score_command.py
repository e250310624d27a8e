"""`bench score` on systems that do not fit: one message, exit status 2, and nothing written."""

import sys

import pytest
from made_checkpoints import write_checkpoint
from tiny_suite import TINY

FUNCTIONS = """
def raising(texts):
    return [1 / 0 for text in texts]
def short(texts):
    return [{"negative": 0.5, "positive": 0.5}] * (len(texts) - 1)
def wide(texts):
    return [[0.1, 0.2, 0.7] for text in texts]
def unnamed(texts):
    return [[0.3, 0.7] for text in texts]
def endless(texts):
    return [{"negative": float("nan"), "positive": 0.5} for text in texts]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the tiny suite, a teacher, a student of three labels, one without names and some functions are."""
    made = tmp_path_factory.mktemp("systems")
    (made / "tiny.toml").write_text(TINY, encoding="utf-8")
    (made / "made_wrong.py").write_text(FUNCTIONS, encoding="utf-8")
    write_checkpoint(made / "teacher")
    write_checkpoint(made / "three", ("a", "b", "c"))
    write_checkpoint(made / "unnamed", ("LABEL_0", "LABEL_1"))
    return made


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere/at/all",), "nowhere/at/all: no such directory"),
        (("three",), "no trained head for a classification task with 2 labels"),
        (("unnamed",), "--labels negative,positive"),
        (("teacher", "--labels", "joy,anger"), "--labels calls them joy, anger"),
        (("teacher", "--name", "int8"), "'int8' is the name of a recipe"),
        (("teacher", "--name", "../up"), "--name: found '../up'"),
        (("teacher", "--reference", "unnamed"), "--reference-labels negative,positive"),
        (("teacher", "--task", "nothing"), "no task named 'nothing'"),
        (("teacher", "--max-length", "999"), "max_length 999, but the model takes at most 128 tokens"),
        (("made_wrong:raising",), "example 1 (sentiment-validation-"),
        (("made_wrong:short",), "given 16 texts, it returned 15 answers"),
        (("made_wrong:wide",), "expected 2 numbers, found 3"),
        (("made_wrong:unnamed",), "they have no names"),
        (("made_wrong:endless",), "expected finite numbers"),
        (("made_wrong:missing",), "'made_wrong' has no 'missing'"),
        (("made_nowhere:f",), "module 'made_nowhere' cannot be imported"),
        (("demo-bert",), "a built-in model is untrained"),
    ],
)
def test_a_system_that_does_not_fit_is_one_message_before_any_work(command, folder, monkeypatch, arguments, message):
    monkeypatch.setattr(sys, "path", list(sys.path))
    system, *options = arguments
    given = options if "--reference" in options else ["--reference", "teacher", *options]
    refused = command("score", system, "tiny.toml", *given, cwd=folder)
    assert refused.returncode == 2, refused.stdout
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (folder / "results").exists()
    assert not (folder / "cache" / "references").exists()
