"""Metrics over strings: SQuAD's exact match and F1 over words, and sacreBLEU's BLEU of a corpus."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.columns import Column
from bench.tasks.metrics.classes import F1
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import WrittenAnswers

if TYPE_CHECKING:
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU

    from bench.base.statistics import Score

    Array = np.ndarray[Any, Any]

_SQUAD = "Rajpurkar et al. 2016 (SQuAD), arXiv:1606.05250, section 6.1"
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ORDERS = 4  # longest n-gram of BLEU


class ExactMatch(Metric):
    """Share of answers equal to any of their references, in [0, 1] (Rajpurkar et al. 2016, §6.1).

    Its drop is tested by bootstrap, which F1, reported beside it, needs too.
    """

    name = "exact_match"
    column = Column(
        "exact_match",
        says="share of normalised answers that equal a reference, or of questions with every choice judged right",
        kind="score",
        show="percent",
        better="higher",
        source=_SQUAD,
        oracle="tasks/test_metrics.py::test_the_best_reference_counts_and_exact_match_is_never_above_f1",
        scale="share",
        in_quality="share",
    )
    takes = WrittenAnswers

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return sum(map(_exact_match, predictions, references)) / len(predictions)

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        values = self.each(predictions, references)
        return lambda indices: float(values[indices].mean())

    @override
    def each(self, predictions: Sequence[Any], references: Sequence[Any]) -> Array:
        return _values(_exact_match, predictions, references)


class TokenF1(Metric):
    """Mean over the examples of the best F1 over an example's references (Rajpurkar et al. 2016, §6.1)."""

    name = "token_f1"
    column = F1.column
    takes = WrittenAnswers

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return sum(map(_best_f1, predictions, references)) / len(predictions)

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        values = self.each(predictions, references)
        return lambda indices: float(values[indices].mean())

    @override
    def each(self, predictions: Sequence[Any], references: Sequence[Any]) -> Array:
        return _values(_best_f1, predictions, references)


class Bleu(Metric):
    """Corpus BLEU as a share of 1 (Papineni et al. 2002) with sacreBLEU's defaults: tokenizer 13a, case-sensitive.

    The shared tasks on Multi30k scored lower-cased text (Specia et al. 2016, W16-2346), which gives slightly higher
    values.
    """

    name = "bleu"
    column = Column(
        "bleu",
        says="corpus BLEU by sacreBLEU, of greedy decoding; the signature is in the record",
        kind="score",
        show="percent",
        better="higher",
        source="Papineni et al. 2002, doi:10.3115/1073083.1073135; Post 2018 (sacreBLEU), arXiv:1804.08771",
        oracle="tasks/test_sequence_metrics.py::test_bleu_by_hand_on_two_sentences",
        scale="share",
        in_quality="share",
    )
    takes = WrittenAnswers

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        streams = [list(stream) for stream in zip_longest(*references)]
        return _share(_scorer().corpus_score(list(predictions), streams).score)

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        counts = _statistics(predictions, references)
        return lambda indices: _from_statistics(counts[indices].sum(axis=0))


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, without English articles, with single spaces.

    In the order of the official script (Rajpurkar et al. 2016, arXiv:1606.05250, evaluate-v1.1.py).
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


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


def bleu_signature() -> str:
    """What sacreBLEU says of how it scores here: references, case, tokenizer, smoothing and its version."""
    scorer = _scorer()
    scorer.corpus_score(["a"], [["a"]])
    return str(scorer.get_signature())


def corpus_bleu(answers: Sequence[str], targets: Sequence[str]) -> float:
    """BLEU of all `answers` together in [0, 1], one target each; what the metric gives."""
    return _from_statistics(_statistics(answers, [[target] for target in targets]).sum(axis=0))


def _exact_match(answer: str, known: Sequence[str]) -> float:
    return float(normalise_answer(answer) in {normalise_answer(reference) for reference in known})


def _best_f1(answer: str, known: Sequence[str]) -> float:
    return max(word_f1(answer, reference) for reference in known)


def _values(
    each: Callable[[str, Sequence[str]], float], predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> Array:
    import numpy as np

    return np.array([each(one, known) for one, known in zip(predictions, references, strict=True)])


def _statistics(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Array:
    """What BLEU is computed from, per sentence: [examples, 10] whole numbers that add up over sentences.

    Length of the answer and of the target, then matching n-grams and n-grams of the answer for n from 1 to 4.
    """
    import numpy as np

    scorer = _scorer(effective_order=True)  # which changes the score of a sentence and none of its counts
    found = [scorer.sentence_score(answer, list(known)) for answer, known in zip(answers, references, strict=True)]
    return np.array([[one.sys_len, one.ref_len, *one.counts, *one.totals] for one in found], dtype=np.int64)


def _from_statistics(total: Array) -> float:
    """BLEU in [0, 1] from the sums [10] of `_statistics`."""
    from sacrebleu.metrics.bleu import BLEU

    answer, target, *counts = total.tolist()
    found = BLEU.compute_bleu(counts[:_ORDERS], counts[_ORDERS:], answer, target, smooth_method="exp")
    return _share(found.score)


def _share(score: float) -> float:
    """BLEU points as a share; rounding in sacreBLEU's logarithms must not lift it above 1."""
    return min(float(score) / 100, 1.0)


def _scorer(*, effective_order: bool = False) -> BLEU:
    """`force` silences a guess of sacreBLEU's that the text was tokenized before."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(force=True, effective_order=effective_order)


COLUMNS = (ExactMatch.column, Bleu.column)

for _metric in (ExactMatch(), TokenF1(), Bleu()):
    METRICS.register(_metric.name)(_metric)
