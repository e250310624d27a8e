"""What a task's data are like, read before anything is trained: rows, labels, lengths, warnings and problems."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.artifacts.source import open_source
from bench.base.errors import BenchError, DataError
from bench.library.glimpse import shortened
from bench.library.tasks import alone_on
from bench.models.checkpoint import CheckpointSource
from bench.models.source import ModelSource
from bench.plan.fit import examine
from bench.plan.settle import with_labels
from bench.spec.suite import Suite, Task
from bench.tasks.data import load_data, settled
from bench.tasks.examples import Example, TaskData
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.suspicions import refuse_one_class

SAMPLE = 5000  # examples of a split whose lengths are counted, evenly spread
SHOWN = 3  # rows, and labels at either end of the counts
WIDTH = 80


class Lengths(NamedTuple):
    """Lengths of examples in `unit`; `longer` of the `read` ones exceed what the suite allows."""

    unit: str
    read: int
    median: float
    longest: int
    longer: int


class SplitView(NamedTuple):
    """One split: its rows, the first of them, how often each label is in it, and how long its texts are."""

    name: str
    rows: int
    first: tuple[Example, ...]
    labels: dict[str, int]
    scores: tuple[float, float, float] | None  # least, mean, largest
    lengths: Lengths | None


@dataclass(frozen=True, kw_only=True)
class DataView:
    """What was found in one task's data; prints for 80 columns."""

    task: Task
    most: int  # tokens that an example may have
    origin: str = ""
    splits: tuple[SplitView, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = _wrapped(f"{self.task.name}: {self.task.kind}{f', {self.origin}' if self.origin else ''}", "")
        for split in self.splits:
            lines += _split_lines(split, self)
        for mark, sentences in (("note", self.notes), ("warning", self.warnings), ("problem", self.problems)):
            for sentence in sentences:
                lines += _wrapped(f"{mark}: {sentence}", "  ")
        return "\n".join(lines)


def read_tasks(suite: Suite, *, data_dir: Path | None, model: str | None) -> list[DataView]:
    """What the data of every task are like; a task whose data cannot be read has problems and nothing else.

    Args:
        suite: its names are checked already.
        data_dir: the user's folder of data, or None to read what needs none.
        model: a model whose tokenizer counts tokens, and whose head is compared with the labels.

    Raises:
        ModelError: there is no such model. DataError: there is no such folder.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(f"--data-dir {data_dir}: no such folder")
    source = None if model is None else open_source(model)
    return [_read(task, suite, data_dir, source) for task in suite.tasks]


def _read(task: Task, suite: Suite, data_dir: Path | None, source: ModelSource | None) -> DataView:
    most = suite.max_length(task)
    try:
        suite, (task,) = with_labels(suite, [task], data_dir=data_dir)
        data = load_data(task, data_dir=data_dir)
    except BenchError as error:
        return DataView(task=task, most=most, problems=_problems_by_split(task, data_dir, first=str(error)))
    fit = _LengthUnit() if source is None else _fit(task, suite, data, source)
    return DataView(
        task=task,
        most=most,
        origin=data.origin,
        splits=tuple(_view(name, examples, task, fit, most=most) for name, examples in data.splits.items()),
        notes=(*data.notes, *fit.notes),
        warnings=tuple(dict.fromkeys([*(says for _, says in data.warnings), *fit.warnings])),
        problems=(*_one_class(task, data), *fit.problems),
    )


def _one_class(task: Task, data: TaskData) -> Iterator[str]:
    if task.trained_on is None:
        try:
            refuse_one_class(task, data.splits[task.train])
        except DataError as error:
            yield str(error)


class _LengthUnit(NamedTuple):
    """How a model and a task's data fit each other; without a tokenizer, lengths are in words."""

    tokenizer: Any = None
    unit: str = "words"
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def _fit(task: Task, suite: Suite, data: TaskData, source: ModelSource) -> _LengthUnit:
    notes: list[str] = []
    warnings: list[str] = []
    problems: list[str] = []
    try:
        warnings += [says for _, says in examine(source, suite, [(task, data)]).warnings]
    except BenchError as error:
        problems.append(str(error))
    try:
        notes += _head_notes(task, source)
    except BenchError as error:
        problems.append(str(error))
    found = tuple(notes), tuple(warnings), tuple(problems)
    if not isinstance(source, CheckpointSource):
        return _LengthUnit(None, "words", *found)
    return _LengthUnit(source.stored_tokenizer(), "tokens", *found)


def _problems_by_split(task: Task, data_dir: Path | None, *, first: str) -> tuple[str, ...]:
    """The problem of the whole, and those of splits that are read one by one, each once."""
    found = [first]
    for split in (task.train, *task.evaluate, *task.ood):
        alone = alone_on(task, split)
        try:
            load_data(settled(alone, data_dir=data_dir), data_dir=data_dir)
        except BenchError as error:
            found.append(str(error))
    return tuple(dict.fromkeys(found))


def _head_notes(task: Task, source: ModelSource) -> Iterator[str]:
    """What becomes of the head in the model's files, if it has one."""
    held = source.held(head=KINDS.get(task.kind).head, labels=task.labels or None)
    if held is None:
        return
    if held.order:
        moved = ", ".join(f"{label} is output {place}" for label, place in zip(task.labels, held.order, strict=True))
        yield (
            f"the labels are in another order in {source.name}: {shortened(moved, 200)}. Its outputs are put into the "
            "task's order."
        )
    if held.set_aside:
        yield f"the head of {source.name} is of another task and is not used; a new one is trained"


def _view(name: str, examples: Sequence[Example], task: Task, fit: _LengthUnit, *, most: int) -> SplitView:
    labels, scores = _labels(examples, task)
    return SplitView(
        name=name,
        rows=len(examples),
        first=tuple(examples[:SHOWN]),
        labels=labels,
        scores=scores,
        lengths=_lengths(examples, fit.tokenizer, unit=fit.unit, most=most),
    )


def _labels(examples: Sequence[Example], task: Task) -> tuple[dict[str, int], tuple[float, float, float] | None]:
    """Examples per label, the most frequent first, or the least, mean and largest score."""
    given = [example.label for example in examples if example.label is not None]
    if task.labels:
        counts = Counter(index for label in given for index in _indices(label))
        named = {task.labels[index]: count for index, count in counts.most_common() if index < len(task.labels)}
        return {**named, **{label: 0 for label in task.labels if label not in named}}, None
    numbers = [float(label) for label in given if isinstance(label, int | float)]
    if not numbers or any(example.choices for example in examples):
        return {}, None
    return {}, (min(numbers), sum(numbers) / len(numbers), max(numbers))


def _indices(label: float | tuple[int, ...]) -> Iterable[int]:
    return label if isinstance(label, tuple) else [int(label)]


def _lengths(examples: Sequence[Example], tokenizer: Any, *, unit: str, most: int) -> Lengths | None:
    sampled = examples[:: max(1, -(-len(examples) // SAMPLE))]
    if not sampled:
        return None
    if tokenizer is None:
        counts = [sum(len(text.split()) for text in _read_texts(example)) for example in sampled]
    else:
        counts = [sum(sizes) + 2 for sizes in _token_counts(sampled, tokenizer)]
    return Lengths(unit, len(sampled), median(counts), max(counts), sum(count > most for count in counts))


def _read_texts(example: Example) -> tuple[str, ...]:
    """The texts that a model reads together: of candidates the longest."""
    longest = max(example.choices, key=len, default="")
    return tuple(text for text in (example.text, example.pair, longest) if text)


def _token_counts(examples: Sequence[Example], tokenizer: Any) -> Iterator[list[int]]:
    """The tokens of each text of each example, special ones left out."""
    texts = [_read_texts(example) for example in examples]
    flat = [text for each in texts for text in each]
    sizes = iter([len(ids) for ids in tokenizer(flat, add_special_tokens=False, truncation=False)["input_ids"]])
    for each in texts:
        yield [next(sizes) for _ in each]


def _split_lines(split: SplitView, view: DataView) -> Iterator[str]:
    yield from _wrapped(f"{split.name}: {split.rows:,} rows{_said_lengths(split, view)}", "  ")
    if split.labels:
        yield from _wrapped(_said_labels(split), "    ")
    if split.scores is not None:
        low, mean, high = split.scores
        yield f"    scores from {low:g} to {high:g}, {mean:.2f} on average"
    for example in split.first:
        label = _said_label(example, view.task)
        texts = " | ".join(" ".join(text.split()) for text in (example.text, example.pair) if text is not None)
        yield f"    {shortened(f'{label}: {texts}' if label else texts, WIDTH - 4)}"


def _said_lengths(split: SplitView, view: DataView) -> str:
    found = split.lengths
    if found is None:
        return ""
    sampled = "" if found.read == split.rows else f" (of {found.read:,} of them)"
    said = f", {found.median:g} {found.unit} in the median, {found.longest:,} at most{sampled}"
    if not found.longer:
        return said
    share = f"{found.longer:,} ({found.longer / found.read:.1%})"
    lost = "the rest is cut off" if KINDS.get(view.task.kind).cuts else "they are read in several parts"
    return f"{said}; {share} have more than max_length = {view.most}: {lost}"


def _said_labels(split: SplitView) -> str:
    total = max(sum(split.labels.values()), 1)
    parts = [f"{label} {count:,} ({count / total:.1%})" for label, count in split.labels.items() if count]
    count = len(parts)
    if len(parts) > 2 * SHOWN:
        parts = [*parts[:SHOWN], "...", *parts[-SHOWN:]]
    absent = [label for label, count in split.labels.items() if not count]
    lacking = f"; none of {', '.join(absent[:SHOWN])}{', ...' if len(absent) > SHOWN else ''}" if absent else ""
    of = f"{count} of {len(split.labels)} labels" if absent else f"{count} labels"
    return f"{of}: {', '.join(parts)}{lacking}"


def _said_label(example: Example, task: Task) -> str:
    if example.answers:
        return shortened(example.answers[0].text, 30) or "no answer"
    if example.label is None:
        return ""
    if task.labels:
        return ", ".join(task.labels[index] for index in _indices(example.label))
    return f"{example.label}"


def _wrapped(text: str, indent: str) -> list[str]:
    """`text` in lines of at most 80 columns; lines of its own stay lines."""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines()):
        first = indent if number == 0 else f"{indent}  "
        lines += textwrap.wrap(line, WIDTH, initial_indent=first, subsequent_indent=f"{indent}  ") or [""]
    return lines
