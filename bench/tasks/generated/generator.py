"""What a generator of labelled text is, and the generators by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from bench.base.registry import Registry
from bench.tasks.examples import Example


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
