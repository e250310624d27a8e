"""Perplexity per token, the metric of language modelling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.columns import Column
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import TextLosses

if TYPE_CHECKING:
    import numpy as np

    from bench.base.statistics import Score

    Array = np.ndarray[Any, Any]


class Perplexity(Metric):
    """exp of the mean negative log-likelihood over all tokens together, in [1, inf) (Jelinek et al. 1977).

    Predictions are the nats of each text and references its number of tokens. Comparable only for one vocabulary: a
    model with larger tokens has fewer of them and a higher perplexity on the same text.

    It counts in quality as 1 / perplexity, the geometric mean of the probabilities that the model gave to the true
    tokens, in (0, 1]. Its ratio to a reference's is then the inverse ratio of their perplexities.
    """

    name = "perplexity"
    column = Column(
        "perplexity",
        says="exp of the mean negative log-likelihood of all predicted tokens; the vocabulary is in the record",
        kind="score",
        show="number",
        better="lower",
        source="Jelinek et al. 1977, doi:10.1121/1.2016299; it counts in quality as 1 / perplexity",
        oracle="tasks/test_sequence_metrics.py::test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary",
        in_quality="share",
    )
    takes = TextLosses

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        tokens = math.fsum(references)
        if tokens < 1:
            raise DataError("perplexity: undefined, because no token was predicted")
        try:
            return math.exp(math.fsum(predictions) / tokens)
        except OverflowError as error:
            raise DataError(
                "perplexity: too large for a float; the model gives the text almost no probability"
            ) from error

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        losses = np.column_stack([predictions, references])  # [examples, 2]

        def score(indices: Array) -> float:
            nats, tokens = losses[indices].sum(axis=0)
            return float(np.exp(nats / tokens)) if tokens else np.nan

        return score

    @override
    def as_quality(self, value: float) -> float:
        return 1 / value


COLUMNS = (Perplexity.column,)

METRICS.register(Perplexity.name)(Perplexity())
