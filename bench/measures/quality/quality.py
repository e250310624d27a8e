"""Task performance: the official metrics, their mean, its drop against the reference, what is kept, calibration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError, UnavailableError
from bench.base.statistics import UNDEFINED, Interval, mcnemar, paired_difference, score_interval
from bench.columns import IntervalNames, column
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.quality.conditions import conditions_of
from bench.tasks.metrics.metric import metric_columns, quality_scorer
from bench.tasks.predictions import ClassLogits

if TYPE_CHECKING:
    import numpy as np

    from bench.artifacts.artifact import Loaded

    Array = np.ndarray[Any, Any]
    from bench.base.statistics import Score
    from bench.measures.base.measure import Pair, Reading


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of one model: `metrics` are means over the splits, `splits` each split's own, both by metric.

    `quality` is the mean over the metrics of their means over the splits, each as `Metric.as_quality` counts it.
    """

    metrics: dict[str, float]
    splits: dict[str, dict[str, float]]
    quality: float


def score_splits(pair: Pair, loaded: Loaded, splits: Sequence[str]) -> Scores | str:
    """The task's metrics of one model, averaged over `splits` with equal weight (as GLUE averages MNLI's two).

    Where labels are hidden or a metric is undefined on these predictions (a correlation of a constant), the reason.
    """
    try:
        found = {split: pair.evaluator.score(loaded, split) for split in splits}
    except DataError as error:
        return str(error)
    return averaged(pair, found)


def averaged(pair: Pair, found: dict[str, dict[str, float]]) -> Scores:
    """The scores of a model of which `found` has the task's metrics by split."""
    means = {metric: math.fsum(row[metric] for row in found.values()) / len(found) for metric in pair.task.metrics}
    counted = [
        math.fsum(pair.kind.metric(metric).as_quality(row[metric]) for row in found.values()) / len(found)
        for metric in means
    ]
    return Scores(metrics=means, splits=found, quality=math.fsum(counted) / len(counted))


def score_both(pair: Pair, splits: Sequence[str]) -> tuple[Scores | str, Scores | str]:
    """`score_splits` of the artifact and of the reference."""
    artifact = score_splits(pair, pair.artifact, splits)
    return artifact, artifact if pair.is_reference else score_splits(pair, pair.reference, splits)


def quality_of(pair: Pair, scores: Mapping[str, float | int | str]) -> float:
    """The mean of a task's metrics, each as it counts towards quality, for the scores of some examples."""
    metrics = pair.task.metrics
    return math.fsum(pair.kind.metric(name).as_quality(float(scores[name])) for name in metrics) / len(metrics)


class Quality(Measure):
    """Means over the evaluation splits; drop and retention compare the two qualities on the same examples.

    Retention as DistilBERT and TinyBERT report it ("97 %"), for one task. Retention of a mean over tasks is not the
    mean of these; a board reports the first. Calibration is over the examples of all splits together. Perplexity, for
    which lower is better, counts as 1 / perplexity, so that higher quality is better; retention is the reference's
    perplexity over the artifact's.
    """

    name = "quality"
    says = "official metrics on the evaluation splits, their mean, and the difference from the reference"
    budget_s = 5.0
    asks = True

    @property
    @override
    def columns(self) -> tuple[str, ...]:
        return ("quality", *metric_columns(), "drop", "retention", *INTERVALS, "calibration_ece")

    def read(self, pair: Pair) -> Reading:
        """Score both models; every column is absent if the labels are hidden."""
        reading = Reading()
        reading.leave(
            "not a metric of this task", *(metric for metric in metric_columns() if metric not in pair.task.metrics)
        )
        _calibrate(reading, pair)
        artifact, reference = score_both(pair, pair.task.evaluate)
        if isinstance(artifact, str):
            reading.leave(artifact, "quality", *pair.task.metrics, "drop", "retention", *INTERVALS)
            return reading
        known = reference if isinstance(reference, Scores) else None
        for metric, value in artifact.metrics.items():
            reading.give(metric, value, reference=known.metrics[metric] if known else None)
        reading.give("quality", artifact.quality, reference=known.quality if known else None)
        _compare(reading, artifact, reference)
        _warn_of_weak_reference(pair, reading)
        counts = {split: len(pair.evaluator.examples(split)) for split in pair.task.evaluate}
        by_split = {"artifact": artifact.splits, "reference": known.splits if known else {}}
        reading.conditions |= conditions_of(pair)
        reading.conditions |= {"examples": sum(counts.values()), "splits": counts, "by_split": by_split}
        give_intervals(reading, pair)
        return reading


def _compare(reading: Reading, artifact: Scores, reference: Scores | str) -> None:
    """Give the drop against the reference and the share of it that is kept."""
    if isinstance(reference, str):
        reading.leave(f"the reference has no quality value: {reference}", "drop", "retention")
        return
    reading.give("drop", reference.quality - artifact.quality, reference=0.0)
    if reference.quality <= 0:
        reason = (
            f"the reference's quality is {reference.quality:.4g}; a ratio to a quality at or below 0 has no meaning"
        )
        reading.leave(reason, "retention")
    else:
        reading.give("retention", artifact.quality / reference.quality, reference=1.0)


def _calibrate(reading: Reading, pair: Pair) -> None:
    """Give the calibration error of both models."""
    form = pair.kind.predicts
    if not form.probable:
        reading.leave(f"a {pair.task.kind} task has no class probabilities", "calibration_ece")
        return
    labels = [pair.kind.truth(example) for split in pair.task.evaluate for example in pair.evaluator.examples(split)]
    if None in labels:
        reading.leave("the labels are hidden", "calibration_ece")
        return
    said = [
        form.joined([pair.evaluator.predict(loaded, split) for split in pair.task.evaluate])
        for loaded in (pair.artifact, pair.reference)
    ]
    errors = [expected_calibration_error(*each.as_classes(labels)) for each in said]
    reading.give("calibration_ece", errors[0], reference=errors[1])
    reading.conditions["calibration"] = f"{BINS} bins of equal width over the probability of the predicted class"
    decisions = len(said[0].as_classes(labels)[1])
    if decisions != len(labels):
        reading.conditions["calibration"] += f", over {decisions} {form.called}"


def _warn_of_weak_reference(pair: Pair, reading: Reading) -> None:
    """Flag a reference at chance: then retention, loyalty and robustness compare with chance."""
    shares = at_chance(pair, pair.task.evaluate)
    if shares is not None:
        reading.warn(
            "weak-reference",
            f"the reference gets {shares[0]:.1%} right, and always predicting the most frequent label gets "
            f"{shares[1]:.1%}, so ratios to the reference say little. Train it longer, or on more data.",
        )


def at_chance(pair: Pair, splits: Sequence[str]) -> tuple[float, float] | None:
    """The reference's share of right examples and the most frequent labels', if the first is not clearly greater.

    "Clearly" is two standard deviations of the binomial above the most frequent label's share. None if it is, if labels
    are hidden, and for predictions that are not classes.
    """
    right = commonest = total = 0
    for split in splits:
        labels = [pair.kind.truth(example) for example in pair.evaluator.examples(split)]
        said = pair.evaluator.predict(pair.reference, split)
        if not isinstance(said, ClassLogits) or None in labels:
            return None
        right += sum(int(found) == label for found, label in zip(said.classes, labels, strict=True))
        commonest += max(Counter(labels).values())
        total += len(labels)
    share = commonest / total
    clearly = right > commonest + 2 * math.sqrt(total * share * (1 - share))
    return None if clearly else (right / total, share)


MEASURES.register("quality")(Quality())


BINS = 15  # Guo et al. 2017, table 1


def expected_calibration_error(logits: Array, labels: Sequence[int]) -> float:
    """Mean over examples of |accuracy - mean confidence| of the bin an example's confidence falls into, in [0, 1].

    Guo et al. 2017 (arXiv:1706.04599), section 2, equation 3: 15 bins of equal width over (0, 1], each open below and
    closed above; the confidence is the probability of the predicted class, softmax at temperature 1.

    Args:
        logits: [examples, classes].
        labels: the true classes, [examples].
    """
    import numpy as np
    from scipy.special import softmax

    confidence = softmax(logits, axis=1).max(axis=1)  # [examples]
    right = logits.argmax(axis=1) == np.asarray(labels)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    surplus = np.bincount(bins, weights=right - confidence, minlength=BINS)  # examples in the bin times its difference
    return float(np.abs(surplus).sum() / len(confidence))


QUALITY, DROP, RETENTION = (column(name).ends for name in ("quality", "drop", "retention"))
INTERVALS = (*QUALITY.names(), *DROP.names(), *RETENTION.names())

_RESAMPLES = 1000
_UNDEFINED = f"fewer than two examples, or more than {UNDEFINED:.0%} of the resamples have no score"
_ITSELF = "the recipe leaves the reference unchanged, and a model does not differ from itself"


def give_intervals(reading: Reading, pair: Pair) -> None:
    """Every one of `INTERVALS`, for a reading that has the artifact's quality and, or why not, its drop and retention.

    Every interval comes from the same resamples of the examples of all evaluation splits together.
    """
    try:
        ours, theirs = _scorer(pair, pair.artifact), _scorer(pair, pair.reference)
    except UnavailableError as error:
        reading.leave(str(error), *INTERVALS)
        return
    count = sum(len(pair.evaluator.examples(split)) for split in pair.task.evaluate)
    reading.conditions["interval"] = f"95 %, percentile bootstrap over the examples, {_RESAMPLES} resamples"

    def interval(scorer: Score) -> Interval | None:
        return score_interval(scorer, count, generator=_generator(pair), resamples=_RESAMPLES)

    def retained(indices: Any) -> float:
        whole = theirs(indices)
        return ours(indices) / whole if whole > 0 else float("nan")

    beside = interval(theirs) if "quality" in reading.reference else None
    _give_ends(reading, QUALITY, interval(ours), beside)
    for name, ends in (("drop", DROP), ("retention", RETENTION)):
        if pair.is_reference or name in reading.absent:
            reading.leave(reading.absent.get(name, _ITSELF), *ends.names())
    if DROP.p not in reading.absent:
        _test_drop(reading, pair, ours, theirs, count)
    if RETENTION.low not in reading.absent:
        _give_ends(reading, RETENTION, interval(retained))


def _test_drop(reading: Reading, pair: Pair, ours: Score, theirs: Score, count: int) -> None:
    """The paired interval of the drop and its p, exact if all that counts is whether an example is right."""
    found = paired_difference(theirs, ours, count, generator=_generator(pair), resamples=_RESAMPLES)
    _give_ends(reading, DROP, found[0] if found else None)
    counts = _discordant(pair)
    if counts is not None:
        reading.give(DROP.p, mcnemar(*counts))
        reading.conditions["drop_test"] = "exact McNemar test over the examples of all splits together"
        reading.conditions["right_by_one"] = dict(zip(("reference", "artifact"), counts, strict=True))
    elif found is None:
        reading.leave(_UNDEFINED, DROP.p)
    else:
        reading.give(DROP.p, found[1])
        reading.conditions["drop_test"] = f"paired bootstrap over the examples, {_RESAMPLES} resamples"


def _discordant(pair: Pair) -> tuple[int, int] | None:
    """How many examples only the reference has right, and how many only the artifact.

    None if the task has several metrics, or one that is not the share of right examples.
    """
    if len(pair.task.metrics) != 1:
        return None
    metric = pair.kind.metric(pair.task.metrics[0])
    only_reference = only_artifact = 0
    for split in pair.task.evaluate:
        parts = (pair.answered(loaded, split) for loaded in (pair.artifact, pair.reference))
        ours, theirs = (metric.right(*metric.compared(*part)) for part in parts)
        if ours is None or theirs is None:
            return None
        only_reference += int((theirs & ~ours).sum())
        only_artifact += int((ours & ~theirs).sum())
    return only_reference, only_artifact


def _scorer(pair: Pair, loaded: Loaded) -> Score:
    """Quality of one model as a function of the examples of all evaluation splits."""
    return quality_scorer([pair.answered(loaded, split) for split in pair.task.evaluate], pair.task.metrics)


def _give_ends(reading: Reading, ends: IntervalNames, found: Interval | None, beside: Interval | None = None) -> None:
    if found is None:
        reading.leave(_UNDEFINED, ends.low, ends.high)
        return
    reading.give(ends.low, found.low, reference=beside.low if beside else None)
    reading.give(ends.high, found.high, reference=beside.high if beside else None)


def _generator(pair: Pair) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng(pair.seed)
