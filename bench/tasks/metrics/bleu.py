"""BLEU of a corpus by sacreBLEU, the metric of translation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import evaluate

from bench.tasks.metrics.metric import METRICS, metric_info

if TYPE_CHECKING:
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU

    Array = np.ndarray[Any, Any]

_ORDERS = 4


def signature() -> str:
    """What sacreBLEU says of how it scores here: references, case, tokenizer, smoothing and its version."""
    scorer = _scorer()
    scorer.corpus_score(["a"], [["a"]])
    return str(scorer.get_signature())


def statistics(answers: Sequence[str], targets: Sequence[str]) -> Array:
    """What BLEU is computed from, by sentence: [examples, 10] whole numbers that add up over sentences.

    Length of the answer and of the target, then matching n-grams and n-grams of the answer for n from 1 to 4.
    """
    import numpy as np

    scorer = _scorer(effective_order=True)  # which changes the score of a sentence and none of its counts
    found = [scorer.sentence_score(answer, [target]) for answer, target in zip(answers, targets, strict=True)]
    return np.array([[one.sys_len, one.ref_len, *one.counts, *one.totals] for one in found], dtype=np.int64)


def from_statistics(total: Array) -> float:
    """BLEU in [0, 1] from the sums [10] of `statistics`."""
    from sacrebleu.metrics.bleu import BLEU

    answer, target, *counts = total.tolist()
    found = BLEU.compute_bleu(counts[:_ORDERS], counts[_ORDERS:], answer, target, smooth_method="exp")
    return _share(found.score)


def corpus_bleu(answers: Sequence[str], targets: Sequence[str]) -> float:
    """BLEU of all `answers` together in [0, 1], one target each; what the metric gives."""
    return from_statistics(statistics(answers, targets).sum(axis=0))


@METRICS.register("bleu")
class Bleu(evaluate.Metric):  # type: ignore[misc]
    """Corpus BLEU as a share of 1 (Papineni et al. 2002) as sacreBLEU has it by default: tokenizer 13a, case heeded.

    The shared tasks on Multi30k scored lower-cased text (Specia et al. 2016, W16-2346), which gives a little more.
    """

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("corpus BLEU", "Post 2018 (sacreBLEU), arXiv:1804.08771", "string", nested=True)

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        streams = [list(stream) for stream in zip(*references, strict=True)]
        return {"bleu": _share(_scorer().corpus_score(list(predictions), streams).score)}


def _share(score: float) -> float:
    """BLEU points as a share; rounding in sacreBLEU's logarithms must not lift it above 1."""
    return min(float(score) / 100, 1.0)


def _scorer(*, effective_order: bool = False) -> BLEU:
    """`force` silences a guess of sacreBLEU's that the text was tokenized before."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(force=True, effective_order=effective_order)
