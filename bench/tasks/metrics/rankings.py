"""Metrics of rankings: nDCG of the first 10, the reciprocal rank of the first 10, recall of the first 100."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bench.columns import Column
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import Rankings

if TYPE_CHECKING:
    from bench.base.statistics import Score

_ORACLE = "tasks/test_ranking_metrics.py::test_metrics_of_rankings_equal_those_of_trec_eval"


class OfQueries(Metric):
    """A mean over the queries of a score of each.

    What is compared are, per query, the grades of its ranked documents (0 if they are not relevant) and the grades of
    all relevant documents, all above 0.
    """

    takes = Rankings
    depth: ClassVar[int]  # how many documents of a ranking count

    @abstractmethod
    def of_query(self, ranked: Sequence[int], relevant: Sequence[int]) -> float:
        """The score of one query, in [0, 1], whose relevant documents have these grades in falling order."""

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return sum(map(self.of_query, predictions, references)) / len(predictions)

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        values = np.array(list(map(self.of_query, predictions, references)))
        return lambda indices: float(values[indices].mean())


class Ndcg(OfQueries):
    """Normalised discounted cumulative gain of the first 10 documents (Järvelin and Kekäläinen 2002), in [0, 1].

    As trec_eval's `ndcg_cut_10`, which BEIR reports: the gain is the grade itself, not 2^grade - 1; the discount is
    log2(1 + rank); the ideal ranking is that of all relevant documents. A query without one scores 0.
    """

    name = "ndcg_at_10"
    depth = 10
    column = Column(
        "ndcg_at_10",
        says="mean nDCG of the first 10 documents; the gain is the grade, the discount log2(1 + rank)",
        kind="score",
        show="percent",
        better="higher",
        source="Järvelin and Kekäläinen 2002, doi:10.1145/582415.582418; as trec_eval's ndcg_cut_10 and BEIR (Thakur "
        "et al. 2021, arXiv:2104.08663)",
        oracle=_ORACLE,
        scale="share",
        in_quality="share",
    )

    @override
    def of_query(self, ranked: Sequence[int], relevant: Sequence[int]) -> float:
        ideal = _gain(relevant[: self.depth])
        return _gain(ranked[: self.depth]) / ideal if ideal else 0.0


class ReciprocalRank(OfQueries):
    """One over the rank of the first relevant document, 0 if it is not among the first 10, in [0, 1]."""

    name = "mrr_at_10"
    depth = 10
    column = Column(
        "mrr_at_10",
        says="mean over the queries of 1 / rank of the first relevant document, 0 beyond rank 10",
        kind="score",
        show="percent",
        better="higher",
        source="Bajaj et al. 2016 (MS MARCO), arXiv:1611.09268: the official metric of passage ranking",
        oracle=_ORACLE,
        scale="share",
        in_quality="share",
    )

    @override
    def of_query(self, ranked: Sequence[int], relevant: Sequence[int]) -> float:
        return next((1 / rank for rank, grade in enumerate(ranked[: self.depth], start=1) if grade > 0), 0.0)


class Recall(OfQueries):
    """Share of a query's relevant documents that are among the first 100, in [0, 1]; 0 for a query without one."""

    name = "recall_at_100"
    depth = 100
    column = Column(
        "recall_at_100",
        says="mean over the queries of the share of relevant documents among the first 100",
        kind="score",
        show="percent",
        better="higher",
        source="Thakur et al. 2021 (BEIR), arXiv:2104.08663; as trec_eval's recall_100",
        oracle=_ORACLE,
        scale="share",
        in_quality="share",
    )

    @override
    def of_query(self, ranked: Sequence[int], relevant: Sequence[int]) -> float:
        return sum(grade > 0 for grade in ranked[: self.depth]) / len(relevant) if relevant else 0.0


def _gain(grades: Sequence[int]) -> float:
    """The discounted cumulative gain of grades from rank 1 on."""
    return sum(max(grade, 0) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


COLUMNS = (Ndcg.column, ReciprocalRank.column, Recall.column)

for _metric in (Ndcg(), ReciprocalRank(), Recall()):
    METRICS.register(_metric.name)(_metric)
