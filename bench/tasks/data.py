"""The data of a task, ready to use: read from its source, subsampled if the suite says so, and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base.errors import DataError, SuiteError
from bench.tasks.examples import CORPUS, Example, TaskData
from bench.tasks.kinds.kind import KINDS
from bench.tasks.shifted import read_shifted
from bench.tasks.sources.source import needed_splits
from bench.tasks.sources.table import source_of
from bench.tasks.subsample import subsample

if TYPE_CHECKING:
    from bench.spec.suite import Task


def load_data(task: Task, *, data_dir: Path | None) -> TaskData:
    """The splits that `task` uses, subsampled with the task's data seed; `notes` say "10000 of 67349" if they were.

    Each shifted set is a further split, whose name `bench.tasks.shifted` makes. A subsample keeps the order of the
    data, and a larger one of the same seed holds the smaller one.

    Args:
        task: names the source, the splits and the sizes.
        data_dir: the user's folder of data sets, or None for the hub.

    Raises:
        DataError: data that cannot be had, an empty split, a label or an answer that does not fit the task.
        UnknownNameError: no such source or kind.
    """
    source = source_of(task, where=f"tasks.{task.name}.data")
    kind = KINDS.get(task.kind, where=f"tasks.{task.name}.kind")
    data = source.load(task, data_dir=data_dir)
    if kind.searches and CORPUS not in data.splits:
        raise DataError(
            f"tasks.{task.name}.data: a {task.kind} task needs documents and judgements; add corpus = {{ … }} with the "
            "columns uid and text, and judgements = { … } with the columns uid, relevant and, if graded, label"
        )
    splits: dict[str, tuple[Example, ...]] = {}
    notes = list(data.notes)
    for split in (*needed_splits(task), *_corpus(task, data)):
        examples = data.splits.get(split, ())
        if not examples:
            raise DataError(f"{task.name}: split '{split}' of {data.origin} has no examples; at least one is needed")
        for example in examples:
            kind.check(example, task, where=f"{task.name}: split '{split}', example {example.uid}")
        counts = {task.train: task.train_examples, CORPUS: None}
        count = counts.get(split, task.evaluate_examples)
        splits[split] = examples
        if count is not None and count < len(examples):
            splits[split] = subsample(examples, count, seed=task.data.seed, split=split)
            purpose = "training" if split == task.train else split
            notes.append(f"{count} of {len(examples)} {purpose} examples (seed {task.data.seed})")
    warnings = list(data.warnings)
    for each in read_shifted(task, data_dir=data_dir):
        splits[each.split] = each.examples
        notes += each.notes
        warnings += each.warnings
    return replace(data, splits=splits, notes=tuple(notes), warnings=tuple(warnings))


def _corpus(task: Task, data: TaskData) -> tuple[str, ...]:
    """The split of documents, if the kind cannot do without, or if its models are made from them and there are some."""
    kind = KINDS.get(task.kind)
    made_from = CORPUS in kind.training_splits(task) and CORPUS in data.splits
    return (CORPUS,) if kind.searches or made_from else ()


def settled(task: Task, *, data_dir: Path | None, trained: Task | None = None) -> Task:
    """The task with its labels filled in from the data, if its kind needs labels and the suite states none.

    Args:
        task: as the suite has it.
        data_dir: as for `load_data`.
        trained: the settled task whose model is evaluated on this one, which then has its labels.

    Raises:
        DataError: data that cannot be had. SuiteError: fewer labels than the kind needs.
    """
    kind = KINDS.get(task.kind, where=f"tasks.{task.name}.kind")
    if task.labels or not kind.least_labels:
        return task
    found = trained.labels if trained is not None else ()
    if not found:
        where = f"tasks.{task.name}"
        found = source_of(task, where=f"{where}.data").labels(task, data_dir=data_dir)
        if len(found) < kind.least_labels:
            raise SuiteError(
                f"{where}.labels: a {task.kind} task needs at least {kind.least_labels}, found {len(found)} in the "
                f"data: {', '.join(found) or 'none'}. Check the label column."
            )
    return task.model_copy(update={"labels": found})


def trained_on(data: TaskData, task: Task) -> tuple[Example, ...]:
    """The examples that a model of `task` is made from, of every split that its kind learns from."""
    splits = KINDS.get(task.kind).training_splits(task)
    return tuple(example for split in splits for example in data.splits.get(split, ()))
