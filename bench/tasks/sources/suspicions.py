"""What is only suspicious in data: rows of evaluation that stand in training, empty texts, one class, two labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.examples import Example

Warned = tuple[str, str]  # a code, and a sentence for people


_LONE = 10  # labels of one row each from which on they are suspicious, if they are most of all labels


def suspicions(
    task: Task, splits: Mapping[str, Sequence[Example]], *, place: Callable[[Example], str]
) -> tuple[Warned, ...]:
    """Warnings about the splits of a task; none about rows whose truth is not known, as those of a corpus.

    `place` says where an example stands: file and line.
    """
    found: list[Warned] = _alike(task)
    training = splits.get(task.train, ()) if task.trained_on is None else ()
    known = {_words(example) for example in training if _has_truth(example)}
    for split, examples in splits.items():
        empty = [example for example in examples if not example.text.strip()]
        if empty:
            texts = _counted(empty, "empty text")
            found.append(("empty-text", f"{task.name}: {split} has {texts} (first: {place(empty[0])})."))
        if split == task.train and task.trained_on is None:
            found += [*_contradictions(task, examples, place), *_lone(task, examples)]
            continue
        found += [*_repeated(task, split, examples, known, place), *_untrained(task, split, examples, training, place)]
        found += _one_class(task, split, examples)
    return tuple(found)


def refuse_one_class(task: Task, examples: Sequence[Example]) -> None:
    """Raise `DataError` if all examples of training have the same class or score, since nothing could be learned."""
    classes = {example.label for example in examples if example.label is not None}
    if len(classes) != 1:
        return
    label = classes.pop()
    if task.labels and isinstance(label, int):
        what = f"label {task.labels[label]}"
    elif isinstance(label, float):
        what = f"score {label:g}"
    else:
        return
    raise DataError(
        f"{task.name}: all {len(examples)} examples of '{task.train}' have the {what}, so there is nothing to learn. "
        "Check the column, or train on more examples."
    )


def _counted(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"


def _words(example: Example) -> tuple[str | None, ...]:
    return (example.text, example.pair, *example.choices)


def _has_truth(example: Example) -> bool:
    return example.label is not None or bool(example.answers) or example.target is not None


def _repeated(
    task: Task,
    split: str,
    examples: Sequence[Example],
    known: set[tuple[str | None, ...]],
    place: Callable[[Example], str],
) -> list[Warned]:
    twice = [example for example in examples if _has_truth(example) and _words(example) in known]
    if not twice:
        return []
    says = (
        f"{task.name}: {len(twice)} of {len(examples)} rows of {split} stand in {task.train} too (first: "
        f"{place(twice[0])}), so {split} does not tell how well new texts are handled."
    )
    return [("evaluated-in-training", says)]


def _one_class(task: Task, split: str, examples: Sequence[Example]) -> list[Warned]:
    classes = {example.label for example in examples if example.label is not None}
    if not task.labels or len(classes) != 1 or not isinstance(label := classes.pop(), int):
        return []
    return [("one-class", f"{task.name}: all rows of {split} have the label {task.labels[label]}.")]


def _contradictions(task: Task, examples: Sequence[Example], place: Callable[[Example], str]) -> list[Warned]:
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
        f"{task.name}: {task.train} repeats a text with another label in {_counted(against, 'row')} (first: "
        f"{place(one)} and {place(two)})."
    )
    return [("two-labels", says)]


def _alike(task: Task) -> list[Warned]:
    """Labels that differ in nothing but their case."""
    first: dict[str, str] = {}
    pairs = [(other, label) for label in task.labels if (other := first.setdefault(label.casefold(), label)) != label]
    if not pairs:
        return []
    one, two = pairs[0]
    says = (
        f"{task.name}: the labels '{one}' and '{two}' differ only in case and count as two. If they are one class, "
        "write it the same way everywhere."
    )
    return [("alike-labels", says)]


def _lone(task: Task, examples: Sequence[Example]) -> list[Warned]:
    """Labels of a single row each, if most are: the column probably holds something else."""
    counts = Counter(example.label for example in examples if isinstance(example.label, int)) if task.labels else {}
    lone = sum(count == 1 for count in counts.values())
    if lone < _LONE or 2 * lone <= len(counts):
        return []
    says = (
        f"{task.name}: {lone} of {len(counts)} labels of {task.train} stand in a single row. Check that the column "
        "holds classes, and not scores, ids or texts."
    )
    return [("lone-labels", says)]


def _untrained(
    task: Task,
    split: str,
    examples: Sequence[Example],
    training: Sequence[Example],
    place: Callable[[Example], str],
) -> list[Warned]:
    """Rows of a class that no row of training has, unless it is the one for what is out of scope."""
    seen = {example.label for example in training}
    if not task.labels or not any(isinstance(label, int) for label in seen):
        return []
    never = [
        (example, task.labels[label])
        for example in examples
        if isinstance(label := example.label, int) and label not in seen and task.labels[label] != task.out_of_scope
    ]
    if not never:
        return []
    first, name = never[0]
    says = (
        f"{task.name}: {len(never)} of {len(examples)} rows of {split} have a label that no row of {task.train} has "
        f"(first: '{name}', {place(first)})."
    )
    return [("untrained-label", says)]
