"""The official metrics over chosen examples, fast enough to be computed on a thousand resamples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import UnavailableError
from bench.tasks.metrics.metric import as_quality

if TYPE_CHECKING:
    import numpy as np

    from bench.tasks.kinds.kind import Predictions

    Array = np.ndarray[Any, Any]

Scorer = Callable[["Array"], float]  # from the indices of examples, repeats allowed, to a score; nan where undefined


def quality_scorer(parts: Sequence[tuple[Predictions, Sequence[Any]]], metrics: Sequence[str]) -> Scorer:
    """The quality of a task as a function of the examples it is computed on.

    Quality as the record has it: the mean of the metrics in each split, each as it counts towards quality, then the
    mean over the splits.

    Args:
        parts: by split, the predictions and the truth (`bench.records.tables.truths`). The scorer's indices count
            through the examples of all of them, one split after the other.
        metrics: columns of the task's kind.
    """

    def combined(*part: Any) -> Scorer:
        own = [(metric, scorer(metric, *part)) for metric in metrics]
        return lambda inside: sum(as_quality(metric, score(inside)) for metric, score in own) / len(own)

    return _over_splits(parts, [combined(*part) for part in parts])


def metric_scorer(parts: Sequence[tuple[Predictions, Sequence[Any]]], metric: str) -> Scorer:
    """One metric's mean over the splits, as the record has it, as a function of the examples; see `quality_scorer`."""
    return _over_splits(parts, [scorer(metric, *part) for part in parts])


def _over_splits(parts: Sequence[tuple[Predictions, Sequence[Any]]], scorers: Sequence[Scorer]) -> Scorer:
    """The mean of one score of each split; nan where none of the examples is of a split."""
    import numpy as np

    ends = np.cumsum([len(truth) for _, truth in parts])

    def score(indices: Array) -> float:
        found = []
        for number, own in enumerate(scorers):
            start = ends[number - 1] if number else 0
            inside = indices[(indices >= start) & (indices < ends[number])] - start
            found.append(own(inside) if len(inside) else np.nan)
        return float(sum(found) / len(found))

    return score


def scorer(metric: str, said: Predictions, truth: Sequence[Any]) -> Scorer:
    """One metric, named by its column, as a function of the examples; equal to the official one on all of them.

    Raises `UnavailableError` for a metric that has no such form.
    """
    import numpy as np

    if said.logits is not None and metric in _CLASSES:
        return _CLASSES[metric](said.logits.argmax(axis=1), np.asarray(truth, dtype=np.int64))
    if said.values is not None and metric in _SCORES:
        return _SCORES[metric](np.asarray(said.values), np.asarray(truth, dtype=np.float64))
    if said.losses is not None and metric == "perplexity":
        return _perplexity(said.losses)
    if said.answers is not None and metric == "bleu":
        return _bleu(said.answers, truth)
    if said.answers is not None and metric in _ANSWERS:
        each = _ANSWERS[metric]
        return _mean(np.array([each(one, known) for one, known in zip(said.answers, truth, strict=True)]))
    raise UnavailableError(f"metric '{metric}' has no form that is fast enough to resample")


def _mean(values: Array) -> Scorer:
    return lambda indices: float(values[indices].mean())


def _accuracy(classes: Array, labels: Array) -> Scorer:
    return _mean((classes == labels).astype(float))


def _f1(classes: Array, labels: Array) -> Scorer:
    """2TP / (2TP + FP + FN) of class 1; the denominator is the number of predicted plus of true positives."""
    import numpy as np

    both, either = ((classes == 1) & (labels == 1)).astype(int), (classes == 1).astype(int) + (labels == 1)

    def score(indices: Array) -> float:
        positives = either[indices].sum()
        return float(2 * both[indices].sum() / positives) if positives else np.nan

    return score


def _mcc(classes: Array, labels: Array) -> Scorer:
    """R_K of Gorodkin 2004 (doi:10.1016/j.compbiolchem.2004.09.006) from the confusion table; 0 for a constant side."""
    import numpy as np

    kinds = int(max(classes.max(), labels.max())) + 1
    cells = labels * kinds + classes

    def score(indices: Array) -> float:
        table = np.bincount(cells[indices], minlength=kinds * kinds).reshape(kinds, kinds).astype(float)
        true, said, count = table.sum(axis=1), table.sum(axis=0), table.sum()
        spread = (count**2 - said @ said) * (count**2 - true @ true)
        return float((table.trace() * count - true @ said) / np.sqrt(spread)) if spread > 0 else 0.0

    return score


def _pearson(values: Array, truth: Array) -> Scorer:
    return lambda indices: _correlation(values[indices], truth[indices])


def _spearman(values: Array, truth: Array) -> Scorer:
    import numpy as np

    sides = [np.unique(side, return_inverse=True)[1] for side in (values, truth)]
    return lambda indices: _correlation(*(_ranks(side[indices]) for side in sides))


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


def _bleu(answers: Sequence[str], targets: Sequence[str]) -> Scorer:
    from bench.tasks.metrics.bleu import from_statistics, statistics

    counts = statistics(answers, targets)
    return lambda indices: from_statistics(counts[indices].sum(axis=0))


def _perplexity(losses: Array) -> Scorer:
    import numpy as np

    def score(indices: Array) -> float:
        nats, tokens = losses[indices].sum(axis=0)
        return float(np.exp(nats / tokens)) if tokens else np.nan

    return score


def _exact_match(answer: str, known: Sequence[str]) -> float:
    from bench.tasks.metrics.normalise import normalise_answer

    return float(normalise_answer(answer) in {normalise_answer(reference) for reference in known})


def _word_f1(answer: str, known: Sequence[str]) -> float:
    from bench.tasks.metrics.token_f1 import word_f1

    return max(word_f1(answer, reference) for reference in known)


_CLASSES: dict[str, Callable[[Array, Array], Scorer]] = {"accuracy": _accuracy, "f1": _f1, "mcc": _mcc}
_SCORES: dict[str, Callable[[Array, Array], Scorer]] = {"pearson": _pearson, "spearman": _spearman}
_ANSWERS: dict[str, Callable[[str, Sequence[str]], float]] = {"exact_match": _exact_match, "f1": _word_f1}
