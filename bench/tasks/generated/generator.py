"""What a generator of labelled text is, the generators by name, and how a split is drawn."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from bench.base.errors import DataError, unknown
from bench.base.registry import Registry
from bench.tasks.examples import Answer, Example
from bench.tasks.generated.draw import Draw


class Generator(ABC):
    """One generated data set; instances hold no state.

    `version` changes whenever the examples of any seed change: it stands in the record as the data's revision.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    splits: ClassVar[tuple[str, ...]]

    @abstractmethod
    def generate(self, split: str, seed: int) -> tuple[Example, ...]:
        """The examples of one of `splits`, the same for the same `seed` on every machine."""


GENERATORS: Registry[Generator] = Registry(
    "generator",
    modules=(
        "bench.tasks.generated.sentiment",
        "bench.tasks.generated.inference",
        "bench.tasks.generated.similarity",
        "bench.tasks.generated.questions",
        "bench.tasks.generated.lexicon",
        "bench.tasks.generated.chain",
    ),
    group="bench.generators",
)


SHIFTED = "ood"
PARTS = {"train": range(10), "validation": range(10, 13), "test": range(13, 16), SHIFTED: range(16)}
MOST_TRIES_PER_EXAMPLE = 2000


class Candidate(NamedTuple):
    """An example before it has a place: `stratum` is what is balanced, `key` what no two examples share.

    The other fields are those of `Example`.
    """

    text: str
    pair: str | None
    label: int | float | None
    answers: tuple[Answer, ...]
    stratum: int
    key: str
    target: str | None = None


class SplitGenerator(Generator):
    """A generator that proposes candidates one by one; this class sorts them into splits.

    The splits of one distribution are told apart by the SHA-256 of a candidate's key, so no split needs to know
    another to share nothing with it. The shifted split has words of its own in every example.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "validation", "test", SHIFTED)
    sizes: ClassVar[Mapping[str, int]]
    strata: ClassVar[int]

    @abstractmethod
    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """The next candidate, of the shifted distribution or not; None if the draw led to nothing usable."""

    def generate(self, split: str, seed: int) -> tuple[Example, ...]:
        """The examples of `split`, each stratum as often as the next (differences of at most one).

        Raises `UnknownNameError` for a split that does not exist, `DataError` if the grammar has too few sentences.
        """
        if split not in self.splits:
            raise unknown("split", split, self.splits, where=f"generator {self.name}")
        draw = Draw(f"{self.name} {self.version} {split} {seed}")
        size = self.sizes[split]
        room = [size // self.strata + (index < size % self.strata) for index in range(self.strata)]
        seen: set[str] = set()
        found: list[Candidate] = []
        for _ in range(size * MOST_TRIES_PER_EXAMPLE):
            if len(found) == size:
                return tuple(_placed(item, f"{self.name}-{split}-{i}") for i, item in enumerate(draw.shuffled(found)))
            candidate = self.propose(draw, shifted=split == SHIFTED)
            if candidate is None or not room[candidate.stratum] or candidate.key in seen:
                continue
            if _part(candidate.key) not in PARTS[split]:
                continue
            seen.add(candidate.key)
            room[candidate.stratum] -= 1
            found.append(candidate)
        raise DataError(
            f"generator {self.name}: {len(found)} of {size} examples of split '{split}' found. The grammar has too "
            f"few sentences of strata {[index for index, left in enumerate(room) if left]}: ask for fewer"
        )


def _part(key: str) -> int:
    """One of 16 parts of all keys, each as large as the next."""
    return hashlib.sha256(key.encode()).digest()[0] % 16


def _placed(candidate: Candidate, uid: str) -> Example:
    return Example(
        uid=uid,
        text=candidate.text,
        pair=candidate.pair,
        label=candidate.label,
        answers=candidate.answers,
        target=candidate.target,
    )
