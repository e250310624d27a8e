"""What a data set is once read: examples in named splits, with where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.records.record import write_bytes
from bench.spec.suite import fingerprint

CORPUS = "corpus"  # the split that holds the documents of retrieval
_TEXTS = ("uid", "text", "pair", "target", "group")
_ABOUT = "bench"
_LAYOUT = 2  # of the file that `write_data` writes; raised whenever it changes, so that older entries are not read


class Answer(NamedTuple):
    """One reference answer of span QA: its text and the character where it starts in the context."""

    text: str
    start: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One example of any task kind.

    Classification and regression read `text` (and `pair`); span QA reads the question from `text` and the context
    from `pair`; translation reads `text` and should write `target`, None if that is hidden; language modelling reads
    `text` alone, a line or a paragraph; multiple choice reads `text` (and `pair`) beside each of `choices`; retrieval
    reads a query or a document from `text`.

    `label` is a class index (classification), the index of the right choice (multiple choice), a score (regression),
    the indices of all right classes or choices (several may be right), or None if it is hidden. `answers` are the
    accepted ones; a question that has none in its context has one answer, the empty text at 0, and none are hidden.
    `relevant` gives the documents that belong to a query, each id with its grade. `group` is what scores are also
    reported by, such as the heuristic of HANS.
    """

    uid: str
    text: str
    pair: str | None = None
    label: int | float | tuple[int, ...] | None = None
    answers: tuple[Answer, ...] = ()
    target: str | None = None
    choices: tuple[str, ...] = ()
    relevant: tuple[tuple[str, int], ...] = ()
    group: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that is written in it, for a tokenizer to learn from."""
        return tuple(text for text in (self.text, self.pair, self.target, *self.choices) if text)

    @property
    def paired(self) -> bool:
        """Whether a model reads two texts at once: a pair, or a text with one of its choices."""
        return self.pair is not None or bool(self.choices)


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The splits of one task and their provenance.

    `origin` says where the data come from in words, `revision` pins them (a hub commit, or a generator's version),
    `generated` is True if no human wrote them, `notes` say what was subsampled or remapped, and `warnings` are (code,
    sentence) pairs about what is only suspicious in them. The documents of retrieval are the split `CORPUS`.
    """

    splits: dict[str, tuple[Example, ...]]
    origin: str
    revision: str | None
    generated: bool
    notes: tuple[str, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 over every field of every example of every split: equal data, equal fingerprint.

        A field that an example does not use is not part of it, so data of before `target` existed keep theirs.
        """
        digest = hashlib.sha256()
        for name in sorted(self.splits):
            digest.update(name.encode() + b"\x1d")
            for example in self.splits[name]:
                row: tuple[object, ...] = (
                    *(example.uid, example.text, example.pair, example.label),
                    tuple(map(tuple, example.answers)),
                )
                row += () if example.target is None else (example.target,)
                row += tuple(
                    (name, value) for name in ("choices", "relevant", "group") if (value := getattr(example, name))
                )
                digest.update(repr(row).encode() + b"\x1e")
        return digest.hexdigest()

    def entry(self) -> str:
        """The name of the cache's entry for these examples and what is told of them."""
        about = [_LAYOUT, self.fingerprint(), self.origin, self.revision, self.generated, self.notes, self.warnings]
        return fingerprint(about, 16)


def write_data(path: Path, data: TaskData) -> None:
    """Write everything that `data` holds to one Parquet file, in one step; raises `RecordError` if that fails."""
    import pyarrow
    from pyarrow import parquet

    rows = [(split, example) for split, examples in data.splits.items() for example in examples]
    labels = [example.label for _, example in rows]
    columns = {
        "split": pyarrow.array([split for split, _ in rows], pyarrow.string()),
        **{name: pyarrow.array([getattr(example, name) for _, example in rows], pyarrow.string()) for name in _TEXTS},
        "class": pyarrow.array([each if isinstance(each, int) else None for each in labels], pyarrow.int64()),
        "score": pyarrow.array([each if isinstance(each, float) else None for each in labels], pyarrow.float64()),
        "classes": pyarrow.array(
            [each if isinstance(each, tuple) else None for each in labels], pyarrow.list_(pyarrow.int64())
        ),
        "choices": pyarrow.array([example.choices for _, example in rows], pyarrow.list_(pyarrow.string())),
        "relevant": pyarrow.array([_graded(example) for _, example in rows], _grades()),
        "answers": pyarrow.array([[each._asdict() for each in example.answers] for _, example in rows], _answers()),
    }
    about = {
        "splits": list(data.splits),
        "origin": data.origin,
        "revision": data.revision,
        "generated": data.generated,
        "notes": data.notes,
        "warnings": data.warnings,
    }
    table = pyarrow.table(columns).replace_schema_metadata({_ABOUT: json.dumps(about)})
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd", use_dictionary=["split"])
    write_bytes(path, sink.getvalue().to_pybytes())


def read_data(path: Path, only: Collection[str] | None = None) -> TaskData:
    """What `write_data` wrote; with `only`, nothing but these splits."""
    from pyarrow import parquet

    chosen = None if only is None else [("split", "in", list(only))]
    table = parquet.read_table(path, filters=chosen, partitioning=None)
    about: dict[str, Any] = json.loads(table.schema.metadata[_ABOUT.encode()])
    found: dict[str, list[Example]] = {name: [] for name in about["splits"] if only is None or name in only}
    columns = table.to_pydict()
    for row, split in enumerate(columns["split"]):
        texts = {name: columns[name][row] for name in _TEXTS}
        label = columns["score"][row] if columns["class"][row] is None else columns["class"][row]
        several = columns["classes"][row]
        example = Example(
            **texts,
            label=label if several is None else tuple(several),
            answers=tuple(Answer(**each) for each in columns["answers"][row]),
            choices=tuple(columns["choices"][row]),
            relevant=tuple((each["uid"], each["grade"]) for each in columns["relevant"][row]),
        )
        found[split].append(example)
    return TaskData(
        splits={name: tuple(examples) for name, examples in found.items()},
        origin=about["origin"],
        revision=about["revision"],
        generated=about["generated"],
        notes=tuple(about["notes"]),
        warnings=tuple((code, says) for code, says in about["warnings"]),
    )


def _answers() -> Any:
    import pyarrow

    return pyarrow.list_(pyarrow.struct([("text", pyarrow.string()), ("start", pyarrow.int64())]))


def _graded(example: Example) -> list[dict[str, str | int]]:
    return [{"uid": uid, "grade": grade} for uid, grade in example.relevant]


def _grades() -> Any:
    import pyarrow

    return pyarrow.list_(pyarrow.struct([("uid", pyarrow.string()), ("grade", pyarrow.int64())]))
