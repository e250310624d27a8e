"""Metrics and agreement of a record computed again from its stored predictions, without running a model."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import DataError, RecordError
from bench.measures.agreement.next_tokens import TABLE as NEXT_TOKENS
from bench.measures.agreement.next_tokens import from_table
from bench.records.record import read_record
from bench.records.tables import read_table
from bench.tasks.metrics.context import Context
from bench.tasks.metrics.metric import Answered, metric_columns, metric_scorer, quality_scorer
from bench.tasks.prediction_tables import read_predictions


def recompute(record_path: Path) -> dict[str, float]:
    """The record's metrics, quality and agreement columns, from the predictions stored with it.

    Columns that cannot be computed (hidden labels, no probabilities) are left out; the record says why. Raises
    `RecordError` if the record or its predictions cannot be read, as `bench.records.tables.read_table` does.
    """
    record, splits = read_record(record_path), read_predictions(record_path)
    conditions = record.conditions.get("agreement", {})
    named = {name: splits[name] for name in conditions.get("splits", ()) if name in splits}
    evaluated = list(named.values())
    if not evaluated:
        raise RecordError(f"{record_path}: its predictions contain none of its evaluation splits")
    form = type(evaluated[0].reference)
    found = form.joined([part.reference for part in evaluated]).agreement(
        form.joined([part.artifact for part in evaluated])
    )
    values = {name: value for name, value in found.items() if not isinstance(value, str)}
    if NEXT_TOKENS in record.provenance.get("tables", {}):
        values |= from_table(read_table(record_path, NEXT_TOKENS)).values()
    trained = splits.get(conditions.get("train_split", ""))
    divergence = "not stored" if trained is None else trained.reference.agreement(trained.artifact)["fidelity_kl"]
    if not isinstance(divergence, str):
        values["fidelity_kl_train"] = divergence
    scored = record.conditions.get("quality", {})
    said = [
        Answered(part.artifact, part.truth, Context.stored(scored, "artifact", split)) for split, part in named.items()
    ]
    return values | _scores(said, [name for name in metric_columns() if name in record.values])


def _scores(parts: list[Answered], metrics: list[str]) -> dict[str, float]:
    """The artifact's metrics and their mean; nothing if labels are hidden or a metric needs more than is stored."""
    import numpy as np

    hidden = any(truth is None and part.said.needs_truth for part in parts for truth in part.truth)
    if not metrics or hidden:
        return {}
    every = np.arange(sum(len(part.truth) for part in parts))
    try:
        scores = {metric: metric_scorer(parts, metric)(every) for metric in metrics}
        return {**scores, "quality": quality_scorer(parts, metrics)(every)}
    except DataError:  # groups are not stored, so gender parity cannot be computed again
        return {}
