"""Shifted and adversarial sets of a task: their place among its splits, how they are read, and how labels fold."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base.errors import DataError, SuiteError, unknown
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.table import described_data, source_of
from bench.tasks.subsample import subsample

if TYPE_CHECKING:
    from bench.spec.data import Shifted
    from bench.spec.suite import Task
    from bench.tasks.examples import Example, TaskData

PREFIX = "shifted:"  # no split of a data set has a colon in its name


@dataclass(frozen=True, kw_only=True)
class ShiftedData:
    """What was read of one set: its examples, where they are from in words, and what is suspicious in them."""

    split: str
    examples: tuple[Example, ...]
    notes: tuple[str, ...]
    warnings: tuple[tuple[str, str], ...]


def split_of(name: str) -> str:
    """The split under which a task's data hold the shifted set called `name`."""
    return f"{PREFIX}{name}"


def shifted_of(task: Task, split: str) -> Shifted | None:
    """The shifted set that `split` holds; None for a split of the task's own data."""
    return task.shifted.get(split.removeprefix(PREFIX)) if split.startswith(PREFIX) else None


def shifted_splits(task: Task) -> tuple[str, ...]:
    """The splits on which the shift is measured: shifted ones of the task's own data, then the shifted sets."""
    return (*task.ood, *map(split_of, task.shifted))


def tuned_on(task: Task, split: str) -> str:
    """The split on which a decision threshold for `split` is chosen: the task's, and without one `split` itself.

    For shifted data it is then the first evaluation split, since nothing is tuned to these.
    """
    if task.threshold is not None:
        return task.threshold
    return task.evaluate[0] if split in shifted_splits(task) else split


def folded_labels(task: Task, shifted: Shifted) -> tuple[str, ...]:
    """The labels of the set, in the order in which the task's labels first become them.

    A label that `fold` does not name keeps its name.
    """
    return tuple(dict.fromkeys(shifted.fold.get(label, label) for label in task.labels))


def fold_of(task: Task, split: str) -> tuple[int, ...] | None:
    """Per class of the task the class of the set in `split`; None if the split has the task's own classes."""
    shifted = shifted_of(task, split)
    if shifted is None:
        return None
    labels = folded_labels(task, shifted)
    if len(labels) == len(task.labels):
        return None
    return tuple(labels.index(shifted.fold.get(label, label)) for label in task.labels)


def scored_as(task: Task, split: str) -> Task:
    """The task with the labels that predictions of `split` are over: those of a shifted set may be fewer."""
    shifted = shifted_of(task, split)
    return task if shifted is None else task.model_copy(update={"labels": folded_labels(task, shifted)})


def _check_labels(task: Task, shifted: Shifted, *, where: str) -> None:
    """Whether the labels that the set is said to have are among the folded ones, unless rows of others are left out."""
    data = described_data(shifted.data)
    stated = data.labels
    labels = folded_labels(task, shifted)
    foreign = [label for label in stated if label not in labels]
    if labels and foreign and not (data.leave_out or data.keep):
        raise SuiteError(
            f"{where}: the set has the labels {', '.join(stated)}; those of the task become {', '.join(labels)}. Say "
            f"which of the task's labels are '{foreign[0]}', for example fold = {{ {labels[-1]} = \"{foreign[0]}\" }}"
        )


def original_of(pattern: str, uid: str) -> str:
    """The id of the example that the one with the id `uid` was made from; its own if it is no altered one."""
    return re.sub(f"(?:{pattern})$", "", uid)


def check_shifted(task: Task, *, where: str) -> None:
    """Check what a task says of its shifted sets.

    Raises:
        SuiteError: a set with the name of a shifted split, a pattern that is none, labels that are folded to one label
            or in a task without classes, or a set with other labels than the folded ones. UnknownNameError: no such
            source, or `fold` names a label that the task does not have.
    """
    for name, shifted in task.shifted.items():
        place = f"{where}: shifted.{name}"
        if name in task.ood:
            raise SuiteError(f"{place}: 'ood' already names a split '{name}'. Give the set another name.")
        source_of(_asked(task, name, shifted), where=f"{place}.data")
        if shifted.altered is not None:
            _check_pattern(shifted.altered, where=f"{place}.altered")
        if shifted.fold:
            _check_fold(task, shifted, where=f"{place}.fold")
        _check_labels(task, shifted, where=place)


def _check_pattern(pattern: str, *, where: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise SuiteError(f"{where}: {pattern!r} is not a regular expression: {error}") from error


def _check_fold(task: Task, shifted: Shifted, *, where: str) -> None:
    if not KINDS.get(task.kind).classifies:
        raise SuiteError(f"{where}: a {task.kind} task has no class probabilities to sum. Remove 'fold'.")
    if not task.labels:  # they are read with the data, and then this is checked again
        return
    for label in shifted.fold:
        if label not in task.labels:
            raise unknown("label", label, task.labels, where=where)
    if len(folded_labels(task, shifted)) < 2:
        raise SuiteError(f"{where}: every label becomes '{folded_labels(task, shifted)[0]}'; at least two are needed")


def read_shifted(task: Task, *, data_dir: Path | None) -> Iterator[ShiftedData]:
    """Every shifted set of `task`, subsampled if it says so, with labels as indices into `folded_labels`.

    Raises:
        DataError: data that cannot be had, an empty set, a label or an answer that does not fit the task.
        SuiteError, UnknownNameError: see `check_shifted`.
    """
    check_shifted(task, where=f"task '{task.name}'")
    for name, shifted in task.shifted.items():
        asked = _asked(task, name, shifted)
        data = source_of(asked, where=f"task '{task.name}': shifted.{name}.data").load(asked, data_dir=data_dir)
        examples = data.splits.get(shifted.split, ())
        if not examples:
            raise DataError(
                f"{asked.name}: split '{shifted.split}' of {data.origin} has no examples; at least one is needed"
            )
        _check_examples(asked, examples, shifted)
        used = _used(examples, shifted)
        notes = (
            _provenance(name, shifted, data, len(used), len(examples)),
            *_unseen(name, asked, used),
            *(f"{name}: {one}" for one in data.notes),
        )
        warnings = tuple((code, f"Shifted set {name}: {says}") for code, says in data.warnings)
        yield ShiftedData(split=split_of(name), examples=used, notes=notes, warnings=warnings)


def _asked(task: Task, name: str, shifted: Shifted) -> Task:
    """The set as a task of its own, with nothing but the one split; no model is trained on it.

    Labels that the set lacks come after its own, whose indices stay as they are.
    """
    labels, data = folded_labels(task, shifted), shifted.data
    stated = described_data(data).labels
    lacking = tuple(label for label in labels if label not in stated)
    if stated and lacking:
        data = data.model_copy(update={"labels": (*stated, *lacking)})
    changes = {
        "name": f"{task.name}, shifted set {name}",
        "labels": labels,
        "data": data,
        "evaluate": (shifted.split,),
        "trained_on": task.name,
        "ood": (),
        "shifted": {},
        "threshold": None,
    }
    return task.model_copy(update=changes)


def _check_examples(asked: Task, examples: tuple[Example, ...], shifted: Shifted) -> None:
    kind = KINDS.get(asked.kind)
    for example in examples:
        kind.check(example, asked, where=f"{asked.name}: split '{shifted.split}', example {example.uid}")


def _used(examples: tuple[Example, ...], shifted: Shifted) -> tuple[Example, ...]:
    """The examples, or the subsample; altered ones stay with those that they were made from, so it may be smaller."""
    count, seed = shifted.examples, shifted.data.seed
    if count is None or count >= len(examples):
        return examples
    if shifted.altered is None:
        return subsample(examples, count, seed=seed, split=shifted.split)
    families: dict[str, list[Example]] = {}
    for example in examples:
        families.setdefault(original_of(shifted.altered, example.uid), []).append(example)
    order = list(families)
    random.Random(f"{seed}:{shifted.split}").shuffle(order)
    totals = accumulate(len(families[original]) for original in order)
    kept = {original for original, total in zip(order, totals, strict=True) if total <= count}
    return tuple(each for each in examples if original_of(shifted.altered, each.uid) in kept)


def _unseen(name: str, asked: Task, examples: tuple[Example, ...]) -> tuple[str, ...]:
    """A note on labels that no example of the set has; a model that predicts one is wrong."""
    found = {example.label for example in examples}
    if None in found or not asked.labels:
        return ()
    unseen = [label for place, label in enumerate(asked.labels) if place not in found]
    return (f"shifted set {name}: no example is {' or '.join(unseen)}",) if unseen else ()


def _provenance(name: str, shifted: Shifted, data: TaskData, used: int, there: int) -> str:
    """Where a set is from, for the notes of a record, as `TaskData` says it of the task's own data."""
    said = f"shifted set {name}: "
    said += f"{used} examples" if used == there else f"{used} of {there} examples (seed {shifted.data.seed})"
    said += f" of split '{shifted.split}' of {data.origin}"
    said += f" at revision {data.revision}" if data.revision else ""
    return said + (" (generated)" if data.generated else "")
