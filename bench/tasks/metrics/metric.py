"""The metrics by name, the one way to compute them, and what all of them describe alike."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.base.registry import Registry

if TYPE_CHECKING:
    from evaluate import Metric, MetricInfo

METRICS: Registry[type[Metric]] = Registry(
    "metric",
    modules=(
        "bench.tasks.metrics.accuracy",
        "bench.tasks.metrics.f1",
        "bench.tasks.metrics.mcc",
        "bench.tasks.metrics.pearson",
        "bench.tasks.metrics.spearman",
        "bench.tasks.metrics.exact_match",
        "bench.tasks.metrics.token_f1",
        "bench.tasks.metrics.bleu",
        "bench.tasks.metrics.perplexity",
    ),
    group="bench.metrics",
)


def as_quality(metric: str, value: float) -> float:
    """A metric, named by its column, as it counts towards quality, where more is better.

    Itself, but for perplexity: 1 / perplexity, the geometric mean of the probabilities that the model gave to the true
    tokens, in (0, 1]. Its quotient with a reference's is then the inverse quotient of their perplexities.
    """
    return 1 / value if metric == "perplexity" else value


def score_metrics(names: Sequence[str], predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
    """Each named metric of `predictions` against `references`, by name, as a share (1.0, not 100).

    Args:
        names: names of `METRICS`; `f1` is binary F1 over class indices, `token_f1` the span QA one over strings.
        predictions: one class index, score, answer, text or sum of nats an example.
        references: one class index, score or number of tokens an example, or for the metrics over strings a list of
            accepted ones an example.

    Raises:
        DataError: nothing to score, a different number of predictions and references, or a metric that is undefined
            on these values. UnknownNameError: no such metric.
    """
    if len(predictions) != len(references):
        raise DataError(f"scoring: {len(predictions)} predictions for {len(references)} references; they must pair up")
    if not len(references):
        raise DataError("scoring: there are no examples, and a mean over none is undefined")
    scores: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-metrics-") as scratch:  # evaluate makes a folder even in memory
        for name in names:
            metric = METRICS.get(name)(keep_in_memory=True, cache_dir=scratch, seed=0)
            result = metric.compute(predictions=predictions, references=references)
            scores[name] = float(result[name])
    return scores


def metric_info(description: str, citation: str, dtype: str, *, nested: bool = False) -> MetricInfo:
    """What `evaluate` wants to know of a metric; `dtype` of both columns, `nested` where references are lists."""
    import datasets
    import evaluate

    value = datasets.Value(dtype)
    features = datasets.Features({"predictions": value, "references": datasets.Sequence(value) if nested else value})
    return evaluate.MetricInfo(description=description, citation=citation, inputs_description="", features=features)
