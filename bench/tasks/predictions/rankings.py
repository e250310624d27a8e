"""The predictions of dense retrieval: for every query the best documents of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import Self, override

from bench.tasks.predictions.form import PROBABILITY, Predictions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

KEPT = 100  # documents of a ranking
COMPARED = 10  # documents of two rankings that are compared with each other


class Ranking(NamedTuple):
    """The best documents of one query, best first, with their scores."""

    documents: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Rankings(Predictions):
    """`rankings`: the 100 best documents of every query, or all if there are fewer; the truth are graded documents."""

    rankings: tuple[Ranking, ...]

    called = "rankings"
    dtype = "int64"
    listed = True

    @override
    def stored(self) -> list[Any]:
        return [{"documents": list(each.documents), "scores": list(each.scores)} for each in self.rankings]

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, dict) and set(value) == {"documents", "scores"}

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        return cls(tuple(Ranking(tuple(each["documents"]), tuple(each["scores"])) for each in stored))

    @override
    def compared(self, truth: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Per query the grades of the ranked documents, 0 if they are not relevant, and those of all relevant ones."""
        said, true = [], []
        for ranking, judged in zip(self.rankings, truth, strict=True):
            grades = dict(zip(judged["documents"], judged["grades"], strict=True))
            said.append([grades.get(document, 0) for document in ranking.documents])
            true.append(sorted((grade for grade in grades.values() if grade > 0), reverse=True))
        return said, true

    @override
    def same(self, other: Predictions) -> Array | None:
        import numpy as np

        if not isinstance(other, Rankings):
            return None
        pairs = zip(self.rankings, other.rankings, strict=True)
        return np.array([mine.documents[:1] == its.documents[:1] for mine, its in pairs])

    @override
    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        found = {
            **super().agreement(artifact),
            **dict.fromkeys(PROBABILITY, "a ranking has no class probabilities"),
            "output_correlation": "the task ranks documents",
        }
        if isinstance(artifact, Rankings):
            found["ranking_overlap"] = self.overlap(artifact)
        return found

    @override
    def details(self, artifact: Predictions, labels: Sequence[str]) -> dict[str, Any]:
        return {"label_loyalty": "share of queries with the same first document"}

    def overlap(self, other: Rankings) -> float:
        """Mean over the queries of the share of the 10 best documents that both rankings have among their 10 best."""
        shares = []
        for mine, its in zip(self.rankings, other.rankings, strict=True):
            first, second = set(mine.documents[:COMPARED]), set(its.documents[:COMPARED])
            shares.append(len(first & second) / max(len(first), len(second), 1))
        return sum(shares) / len(shares)
