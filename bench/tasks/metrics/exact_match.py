"""Exact match of answers after SQuAD's normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from bench.tasks.metrics.metric import METRICS, metric_info
from bench.tasks.metrics.normalise import normalise_answer


@METRICS.register("exact_match")
class ExactMatch(evaluate.Metric):  # type: ignore[misc]
    """Share of answers equal to any of their references, in [0, 1] (Rajpurkar et al. 2016, §6.1)."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("exact match", "Rajpurkar et al. 2016, arXiv:1606.05250", "string", nested=True)

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        hits = sum(
            normalise_answer(answer) in {normalise_answer(reference) for reference in known}
            for answer, known in zip(predictions, references, strict=True)
        )
        return {"exact_match": hits / len(predictions)}
