"""What a data set is once read: examples in named splits, with where they came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple


class Answer(NamedTuple):
    """One reference answer of span QA: its text and the character where it starts in the context."""

    text: str
    start: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One example of any task kind.

    Classification and regression read `text` (and `pair`); span QA reads the question from `text` and the context
    from `pair`; translation reads `text` and should write `target`, None if that is hidden; language modelling reads
    `text` alone, a line or a paragraph. `label` is a class index (classification), a score (regression) or None if
    it is hidden.
    """

    uid: str
    text: str
    pair: str | None = None
    label: int | float | None = None
    answers: tuple[Answer, ...] = ()
    target: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that is written in it, for a tokenizer to learn from."""
        return tuple(text for text in (self.text, self.pair, self.target) if text)


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The splits of one task and their provenance.

    `origin` says where the data come from in words, `revision` pins them (a hub commit, or a generator's version),
    `generated` is True if no human wrote them, `notes` say what was subsampled or remapped.
    """

    splits: dict[str, tuple[Example, ...]]
    origin: str
    revision: str | None
    generated: bool
    notes: tuple[str, ...] = ()

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
                digest.update(repr(row).encode() + b"\x1e")
        return digest.hexdigest()
