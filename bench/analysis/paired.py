"""Two records of one task compared example by example, from the predictions stored next to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.table import Absent
from bench.base.errors import DataError, UnavailableError
from bench.base.statistics import Interval, paired_difference
from bench.columns import COLUMNS
from bench.records.record import Record

if TYPE_CHECKING:
    from bench.base.statistics import Score
    from bench.tasks.prediction_tables import SplitPredictions

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class StoredRecord:
    """A record and the file it was read from; its predictions are in the same folder."""

    record: Record
    path: Path


def paired_change(name: str, first: StoredRecord, second: StoredRecord) -> tuple[Interval, float] | Absent:
    """The difference `second` - `first` of a column of `SCORERS`: its paired-bootstrap interval and p.

    Absent if a record has no predictions, or the two do not rest on the same examples. Raises `RecordError` if
    predictions that a record names are missing or altered.
    """
    import numpy as np

    splits = _splits(first.record)
    sides: list[Mapping[str, SplitPredictions]] = []
    for side in (first, second):
        seen = _seen(side, splits)
        if isinstance(seen, Absent):
            return seen
        sides.append(seen)
    before, after = ({split: side[split] for split in splits} for side in sides)
    if any(
        one.uids != other.uids or one.truth != other.truth
        for one, other in zip(before.values(), after.values(), strict=True)
    ):
        return Absent("the two records were evaluated on different examples")
    try:
        old, new = (SCORERS[name](each.record, parts) for each, parts in ((first, before), (second, after)))
    except (DataError, UnavailableError) as error:
        return Absent(str(error))
    count = sum(len(part.uids) for part in before.values())
    found = paired_difference(new, old, count, generator=np.random.default_rng(0), resamples=RESAMPLES)
    return found or Absent("the score is undefined on too many bootstrap resamples")


def _splits(record: Record) -> list[str]:
    found: Any = record.conditions.get("agreement", {}).get("splits", ())
    return [str(split) for split in found]


def _seen(side: StoredRecord, splits: Sequence[str]) -> Mapping[str, SplitPredictions] | Absent:
    from bench.tasks.prediction_tables import TABLE, read_predictions

    if TABLE not in side.record.provenance.get("tables", {}):
        return Absent("a record was stored without its predictions")
    seen = read_predictions(side.path)
    if not splits or any(split not in seen for split in splits):
        return Absent("the stored predictions lack an evaluation split")
    return seen


def _quality(record: Record, parts: Mapping[str, SplitPredictions]) -> Score:
    """Quality as a function of the examples.

    Raises `UnavailableError` if the labels are hidden, `DataError` if a metric needs more than a record holds.
    """
    from bench.tasks.metrics.context import Context
    from bench.tasks.metrics.metric import Answered, quality_scorer

    if any(truth is None for part in parts.values() for truth in part.truth):
        raise UnavailableError("the labels are hidden")
    scored = record.conditions.get("quality", {})
    metrics = [item.name for item in COLUMNS.values() if item.in_quality and item.name in record.values]
    said = [
        Answered(part.artifact, part.truth, Context.stored(scored, "artifact", split)) for split, part in parts.items()
    ]
    return quality_scorer(said, metrics)


def _label_loyalty(record: Record, parts: Mapping[str, SplitPredictions]) -> Score:
    """Label loyalty as a function of the examples; raises `UnavailableError` for a regression."""
    import numpy as np

    del record
    form = type(next(iter(parts.values())).reference)
    reference, artifact = (
        form.joined([getattr(part, side) for part in parts.values()]) for side in ("reference", "artifact")
    )
    same = reference.same(artifact)
    if same is None:
        raise UnavailableError("a regression output is not a label")
    agrees = np.asarray(same, dtype=np.float64)  # [examples]
    return lambda indices: float(agrees[indices].mean())


# By column: how it is computed again from stored predictions.
SCORERS: dict[str, Callable[[Record, Mapping[str, SplitPredictions]], Score]] = {
    "quality": _quality,
    "label_loyalty": _label_loyalty,
}
