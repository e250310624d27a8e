"""The nine GLUE data sets and their diagnostic set: folders, files, columns, labels, and how a row is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from bench.base.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Subset:
    """How one data set lies on disk and on the hub (Wang et al. 2019, arXiv:1804.07461).

    `folders` are looked through below the data folder; `files` are stems of each split's file (`.tsv` or `.jsonl`) or
    whole names, and the first found counts. `text`, `pair` and `label` are column names, the first of each the hub's;
    `pair` is empty for single sentences. `labels` stand in the order of the hub's indices, empty for a score in
    [0, 5]. `headerless` names the columns of a training or validation table without a header line. `drops_malformed`
    marks tables whose published form has broken lines, which the hub leaves out too.
    """

    folders: tuple[str, ...]
    text: tuple[str, ...]
    pair: tuple[str, ...] = ()
    label: tuple[str, ...] = ("label",)
    labels: tuple[str, ...] = ()
    files: dict[str, tuple[str, ...]]
    headerless: tuple[str, ...] = ()
    drops_malformed: bool = False


_SPLITS = {"train": ("train",), "validation": ("dev", "validation"), "test": ("test",)}
_NLI = ("entailment", "neutral", "contradiction")


def _folders(name: str) -> tuple[str, ...]:
    return (f"glue/{name}", name)


SUBSETS: dict[str, Subset] = {
    "cola": Subset(
        folders=_folders("CoLA"),
        text=("sentence",),
        labels=("unacceptable", "acceptable"),
        files=_SPLITS,
        headerless=("source", "label", "star", "sentence"),
    ),
    "sst2": Subset(folders=_folders("SST-2"), text=("sentence",), labels=("negative", "positive"), files=_SPLITS),
    "mrpc": Subset(
        folders=_folders("MRPC"),
        text=("sentence1", "#1 String"),
        pair=("sentence2", "#2 String"),
        label=("label", "Quality"),
        labels=("not_equivalent", "equivalent"),
        files={**_SPLITS, "test": ("test", "msr_paraphrase_test.txt")},
    ),
    "qqp": Subset(
        folders=_folders("QQP"),
        text=("question1", "sentence1"),
        pair=("question2", "sentence2"),
        label=("label", "is_duplicate"),
        labels=("not_duplicate", "duplicate"),
        files=_SPLITS,
        drops_malformed=True,
    ),
    "stsb": Subset(
        folders=_folders("STS-B"),
        text=("sentence1",),
        pair=("sentence2",),
        label=("label", "score"),
        files=_SPLITS,
    ),
    "mnli": Subset(
        folders=_folders("MNLI"),
        text=("premise", "sentence1"),
        pair=("hypothesis", "sentence2"),
        label=("label", "gold_label"),
        labels=_NLI,
        files={
            "train": ("train",),
            "validation_matched": ("dev_matched",),
            "validation_mismatched": ("dev_mismatched",),
            "test_matched": ("test_matched",),
            "test_mismatched": ("test_mismatched",),
        },
    ),
    "qnli": Subset(
        folders=_folders("QNLI"),
        text=("question", "sentence1"),
        pair=("sentence", "sentence2"),
        labels=("entailment", "not_entailment"),
        files=_SPLITS,
    ),
    "rte": Subset(
        folders=_folders("RTE"),
        text=("sentence1", "premise"),
        pair=("sentence2", "hypothesis"),
        labels=("entailment", "not_entailment"),
        files=_SPLITS,
    ),
    "wnli": Subset(
        folders=_folders("WNLI"),
        text=("sentence1",),
        pair=("sentence2",),
        labels=("not_entailment", "entailment"),
        files=_SPLITS,
    ),
    "ax": Subset(
        folders=(*_folders("AX"), *_folders("diagnostic"), "superglue/AX-b", "AX-b"),
        text=("premise", "sentence1", "Premise"),
        pair=("hypothesis", "sentence2", "Hypothesis"),
        label=("label", "Label", "gold_label"),
        labels=_NLI,
        files={"test": ("diagnostic-full", "diagnostic", "test", "AX", "ax")},
    ),
}


_HIDDEN = -1
_SCORES = (0.0, 5.0)  # STS-B's range


class RawRow(NamedTuple):
    """Texts and label as read; `label` is None if the table has no label column, `where` names file and line."""

    text: str
    pair: str | None
    label: str | int | float | None
    where: str


def class_index(row: RawRow, subset: Subset, labels: tuple[str, ...]) -> int | None:
    """The row's class as an index into `labels`, the order the task wants; None if it is hidden (-1).

    A label is a name, or a number that counts in the hub's order. Raises `DataError` for any other.
    """
    if row.label is None:
        return None
    text = str(row.label).strip()
    if text == str(_HIDDEN):
        return None
    if text.isdecimal() and int(text) < len(subset.labels):
        text = subset.labels[int(text)]
    if text not in subset.labels:
        known = ", ".join(f"{name} ({index})" for index, name in enumerate(subset.labels))
        raise DataError(f"{row.where}: unknown label {row.label!r}. Expected one of {known}.")
    return labels.index(text)


def score(row: RawRow) -> float | None:
    """The row's score in [0, 5]; None if it is hidden (-1). Raises `DataError` for anything else."""
    if row.label is None:
        return None
    try:
        value = float(row.label)
    except ValueError:
        value = math.nan
    if value == _HIDDEN:
        return None
    if not _SCORES[0] <= value <= _SCORES[1]:
        raise DataError(
            f"{row.where}: unknown score {row.label!r}. Expected a number from {_SCORES[0]} to {_SCORES[1]}."
        )
    return value
