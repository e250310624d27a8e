"""Perplexity per token, the metric of language modelling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import evaluate

from bench.base.errors import DataError
from bench.tasks.metrics.metric import METRICS, metric_info


@METRICS.register("perplexity")
class Perplexity(evaluate.Metric):  # type: ignore[misc]
    """exp of the mean negative log-likelihood over all tokens together, in [1, inf) (Jelinek et al. 1977).

    `predictions` are nats of each text and `references` its numbers of tokens. Comparable only over one vocabulary: a
    model with larger tokens has fewer of them and a higher perplexity on the same text.
    """

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("perplexity per token", "Jelinek et al. 1977, doi:10.1121/1.2016299", "float64")

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        tokens = math.fsum(references)
        if tokens < 1:
            raise DataError("perplexity: undefined, as no token was predicted")
        try:
            return {"perplexity": math.exp(math.fsum(predictions) / tokens)}
        except OverflowError as error:
            raise DataError(
                "perplexity: too large for a number; the model gives its own text no probability"
            ) from error
