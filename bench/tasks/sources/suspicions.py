"""What is only suspicious in data: rows of evaluation that stand in training, empty texts, one class, two labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.examples import Example

Warned = tuple[str, str]  # a code, and a sentence for people


def suspicions(task: Task, splits: Mapping[str, Sequence[Example]]) -> tuple[Warned, ...]:
    """Warnings about the splits of a task; none about rows whose truth is not known, as those of a corpus."""
    found: list[Warned] = []
    training = splits.get(task.train, ()) if task.trained_on is None else ()
    known = {_words(example) for example in training if _has_truth(example)}
    for split, examples in splits.items():
        empty = [example for example in examples if not example.text.strip()]
        if empty:
            found.append(
                ("empty-text", f"{task.name}: {len(empty)} texts of {split} are empty (first: {empty[0].uid}).")
            )
        if split == task.train and task.trained_on is None:
            found += _contradictions(task, examples)
            continue
        found += _repeated(task, split, examples, known)
        found += _one_class(task, split, examples)
    return tuple(found)


def refuse_one_class(task: Task, examples: Sequence[Example]) -> None:
    """Raise `DataError` if all labelled examples of training have the same class, since nothing could be learned."""
    classes = {example.label for example in examples if example.label is not None}
    if task.labels and len(classes) == 1 and isinstance(label := classes.pop(), int):
        raise DataError(
            f"{task.name}: all {len(examples)} examples of '{task.train}' have the label {task.labels[label]}, so "
            "there is nothing to learn. Check the label column, or train on more examples."
        )


def _words(example: Example) -> tuple[str | None, ...]:
    return (example.text, example.pair, *example.choices)


def _has_truth(example: Example) -> bool:
    return example.label is not None or bool(example.answers) or example.target is not None


def _repeated(task: Task, split: str, examples: Sequence[Example], known: set[tuple[str | None, ...]]) -> list[Warned]:
    twice = [example for example in examples if _has_truth(example) and _words(example) in known]
    if not twice:
        return []
    says = (
        f"{task.name}: {len(twice)} of {len(examples)} rows of {split} stand in {task.train} too (first: "
        f"{twice[0].uid}), so {split} does not tell how well new texts are handled."
    )
    return [("evaluated-in-training", says)]


def _one_class(task: Task, split: str, examples: Sequence[Example]) -> list[Warned]:
    classes = {example.label for example in examples if example.label is not None}
    if not task.labels or len(classes) != 1 or not isinstance(label := classes.pop(), int):
        return []
    return [("one-class", f"{task.name}: all rows of {split} have the label {task.labels[label]}.")]


def _contradictions(task: Task, examples: Sequence[Example]) -> list[Warned]:
    if not task.labels:
        return []
    first: dict[tuple[str | None, ...], Example] = {}
    against: list[tuple[Example, Example]] = []
    for example in examples:
        other = first.setdefault(_words(example), example)
        if other.label != example.label:
            against.append((other, example))
    if not against:
        return []
    one, two = against[0]
    says = (
        f"{task.name}: {len(against)} rows of {task.train} repeat a text with another label (first: {one.uid} and "
        f"{two.uid})."
    )
    return [("two-labels", says)]
