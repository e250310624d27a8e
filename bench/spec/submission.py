"""The test files that a benchmark's grader takes, as data: bench/submissions/NAME.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.base.schema import Frozen, read_toml, validated
from bench.base.shelf import Shelf

SUBMISSIONS_DIR = Path(__file__).parent.parent / "submissions"
SUBMISSIONS = Shelf("submission", folder=SUBMISSIONS_DIR, group="bench.submissions")

Layout = Literal[
    "tsv",  # a header `index`, `prediction`, and a line per example
    "jsonl",  # an object with `idx` and `label` per line
    "questions",  # an object per passage and line, with its questions and a label for each of their answers (MultiRC)
    "answers",  # one JSON object from ids to answers (SQuAD)
]


class SubmissionFile(Frozen):
    """One file: whose predictions it holds and how a prediction is spelled there."""

    name: str
    dataset: str = Field(description="the data as SOURCE/SUBSET, such as glue/sst2")
    of: tuple[str, ...] = Field((), description="other data on which a model that answers it may have been trained")
    split: str = "test"
    layout: Layout
    rows: int = Field(ge=1, description="predictions as published; with another number there is no file")
    labels: dict[str, str | int | bool] = Field({}, description="label of the task -> spelling; without, as it is")
    clip: tuple[float, float] | None = Field(None, description="least and largest score that the grader takes")


class SubmissionFormat(Frozen):
    """All files of a benchmark's submission; the grader takes them together."""

    title: str
    source: str = Field(description="where names, columns and spellings are published")
    verified: bool = Field(True, description="False if the grader's own rules could not be read")
    notes: tuple[str, ...] = ()
    zip: str | None = Field(None, description="name of the archive that is uploaded; None if files are")
    files: tuple[SubmissionFile, ...] = Field(min_length=1)


def read_submission(name: str, *, where: str | None = None) -> SubmissionFormat:
    """The format called `name`.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest. SuiteError: its file is not valid.
    """
    path = SUBMISSIONS.path(name, where=where)
    return validated(SubmissionFormat, read_toml(path), where=SUBMISSIONS.shown(path))
