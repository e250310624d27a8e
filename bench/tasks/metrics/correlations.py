"""Correlations of predicted and true scores: Pearson's and Spearman's, the official metrics of STS-B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.columns import Column
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import ScoreValues

if TYPE_CHECKING:
    import numpy as np

    from bench.base.statistics import Score

    Array = np.ndarray[Any, Any]

_ORACLE = "tasks/test_metrics.py::test_correlations_equal_numpy_on_values_and_on_ranks"


class Pearson(Metric):
    """Linear correlation in [-1, 1]; undefined if predictions or references are all equal."""

    name = "pearson"
    column = Column(
        "pearson",
        says="Pearson correlation of predicted and true score",
        kind="score",
        show="percent",
        better="higher",
        source="Pearson 1895, doi:10.1098/rspl.1895.0041",
        oracle=_ORACLE,
        scale="correlation",
        in_quality="correlation",
    )
    takes = ScoreValues

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from scipy.stats import pearsonr

        _check_varied(self.name, predictions, references)
        return float(pearsonr(predictions, references).statistic)

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        values, truth = _arrays(predictions, references)
        return lambda indices: _correlation(values[indices], truth[indices])


class Spearman(Metric):
    """Pearson correlation of the ranks, ties sharing their mean rank; undefined if one side is all equal."""

    name = "spearman"
    column = Column(
        "spearman",
        says="Spearman rank correlation of predicted and true score",
        kind="score",
        show="percent",
        better="higher",
        source="Spearman 1904, doi:10.2307/1412159",
        oracle=_ORACLE,
        scale="correlation",
        in_quality="correlation",
    )
    takes = ScoreValues

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from scipy.stats import spearmanr

        _check_varied(self.name, predictions, references)
        return float(spearmanr(predictions, references).statistic)

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        sides = [np.unique(side, return_inverse=True)[1] for side in _arrays(predictions, references)]
        return lambda indices: _correlation(*(_ranks(side[indices]) for side in sides))


def _check_varied(metric: str, predictions: Sequence[float], references: Sequence[float]) -> None:
    """Raise `DataError` if a correlation does not exist: fewer than two examples, or a side that is constant."""
    for side, values in (("predictions", predictions), ("references", references)):
        if len(set(values)) < 2:
            raise DataError(f"{metric}: undefined, because all {len(values)} {side} are {values[0]:.6g}")


def _arrays(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[Array, Array]:
    import numpy as np

    return np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.float64)


def _ranks(codes: Array) -> Array:
    """Ranks from 1 of whole numbers from 0, ties sharing their mean rank, counted instead of sorted."""
    import numpy as np

    counts = np.bincount(codes)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[codes])


def _correlation(one: Array, other: Array) -> float:
    import numpy as np

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


COLUMNS = (Pearson.column, Spearman.column)

for _metric in (Pearson(), Spearman()):
    METRICS.register(_metric.name)(_metric)
