"""F1 over the words of an answer, SQuAD's second metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import evaluate

from bench.tasks.metrics.metric import METRICS, metric_info
from bench.tasks.metrics.normalise import normalise_answer


def word_f1(answer: str, reference: str) -> float:
    """2PR / (P + R) over the words both share, counted with repetition, after normalisation; in [0, 1].

    Two answers that normalise to nothing are equal and score 1, as with exact match; the official script divides by
    zero there and answers 0, but no reference of SQuAD normalises to nothing.
    """
    ours, theirs = normalise_answer(answer).split(), normalise_answer(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


@METRICS.register("token_f1")
class TokenF1(evaluate.Metric):  # type: ignore[misc]
    """Mean over the examples of the best F1 over an example's references (Rajpurkar et al. 2016, §6.1)."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("F1 over words", "Rajpurkar et al. 2016, arXiv:1606.05250", "string", nested=True)

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        best = [
            max(word_f1(answer, reference) for reference in known)
            for answer, known in zip(predictions, references, strict=True)
        ]
        return {"token_f1": sum(best) / len(best)}
