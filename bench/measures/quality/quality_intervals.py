"""How sure a quality is: its interval, and the interval and the test of its drop against the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.errors import UnavailableError
from bench.base.statistics import UNDEFINED, Interval, mcnemar, paired_difference, score_interval
from bench.columns import IntervalNames, column
from bench.tasks.metrics.metric import quality_scorer

if TYPE_CHECKING:
    import numpy as np

    from bench.artifacts.artifact import Loaded
    from bench.base.statistics import Score
    from bench.measures.base.measure import Pair, Reading

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
        said = pair.said(split)
        ours, theirs = (metric.right(*each.compared(said.truth)) for each in (said.artifact, said.reference))
        if ours is None or theirs is None:
            return None
        only_reference += int((theirs & ~ours).sum())
        only_artifact += int((ours & ~theirs).sum())
    return only_reference, only_artifact


def _scorer(pair: Pair, loaded: Loaded) -> Score:
    """Quality of one model as a function of the examples of all evaluation splits."""
    splits = pair.task.evaluate
    parts = [
        (pair.evaluator.predict(loaded, split), [pair.kind.truth(each) for each in pair.evaluator.examples(split)])
        for split in splits
    ]
    return quality_scorer(parts, pair.task.metrics)


def _give_ends(reading: Reading, ends: IntervalNames, found: Interval | None, beside: Interval | None = None) -> None:
    if found is None:
        reading.leave(_UNDEFINED, ends.low, ends.high)
        return
    reading.give(ends.low, found.low, reference=beside.low if beside else None)
    reading.give(ends.high, found.high, reference=beside.high if beside else None)


def _generator(pair: Pair) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng(pair.seed)
