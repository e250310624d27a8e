"""What a record keeps of a task's scores besides their values: how they came about, and those of parts and groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.measures.base.measure import Pair
from bench.tasks.metrics.context import recorded
from bench.tasks.metrics.metric import Answered

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded

MOST_GROUPS = 50  # a record with more would be about groups


def conditions_of(pair: Pair) -> dict[str, Any]:
    """What the scores of both models depend on and, if the examples have parts or groups, the scores of these."""
    return {**_dependencies(pair), **_decided(pair), **_by_part(pair), **_by_groups(pair)}


def by_group(pair: Pair, loaded: Loaded, split: str) -> dict[str, dict[str, float | int | str]]:
    """The task's metrics of one model on each group of a split's examples, with their number.

    Empty if no example has a group, and if groups are what a metric scores, such as pairs. A group with one example
    only, or on which a metric is undefined, has the reason under `absent`.
    """
    if any(pair.kind.metric(metric).of_groups for metric in pair.task.metrics):
        return {}
    groups = [example.group for example in pair.evaluator.examples(split)]
    found: dict[str, dict[str, float | int | str]] = {}
    for group, rows in _rows(groups).items():
        found[group] = {"examples": len(rows)}
        if len(rows) < 2:
            found[group]["absent"] = "one example alone has no score"
            continue
        try:
            found[group] |= _score_rows(pair, loaded, split, rows)
        except DataError as error:
            found[group]["absent"] = str(error)
    return found


def _rows(names: Sequence[str | None]) -> dict[str, list[int]]:
    """The places of each name, in the order in which they first occur."""
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None:
            found.setdefault(name, []).append(row)
    return found


def _score_rows(pair: Pair, loaded: Loaded, split: str, rows: Sequence[int]) -> dict[str, float]:
    """The task's metrics of one model on some examples of a split; raises `DataError` if one is undefined on them."""
    examples = pair.evaluator.examples(split)
    said, context = pair.evaluator.predict(loaded, split), pair.evaluator.context(loaded, split)
    return pair.kind.score(said.chosen(rows), [examples[row] for row in rows], pair.task.metrics, context.at(rows))


def _by_groups(pair: Pair) -> dict[str, Any]:
    """The scores of both models by group, in splits that have groups; in place of too many, the reason."""
    splits = [
        (split, {example.group for example in pair.evaluator.examples(split)} - {None}) for split in pair.task.evaluate
    ]
    most = max(len(groups) for _, groups in splits)
    if not most:
        return {}
    if most > MOST_GROUPS:
        return {"by_group": f"{most} groups; scores by group are given for at most {MOST_GROUPS}"}
    found = {
        side: {split: scores for split, groups in splits if groups and (scores := by_group(pair, loaded, split))}
        for side, loaded in (("artifact", pair.artifact), ("reference", pair.reference))
    }
    return {"by_group": found} if any(found.values()) else {}


def _dependencies(pair: Pair) -> dict[str, Any]:
    """What the scores depend on besides the models: as the kind says, as the metrics say, and as both were scored."""
    parts = {
        side: {split: pair.answered(loaded, split) for split in pair.task.evaluate}
        for side, loaded in (("artifact", pair.artifact), ("reference", pair.reference))
    }
    contexts = {side: {split: part.context for split, part in of.items()} for side, of in parts.items()}
    return _of_kind(pair) | recorded(contexts, pair.task.threshold) | _of_metrics(pair, parts)


def _of_metrics(pair: Pair, parts: dict[str, dict[str, Answered]]) -> dict[str, Any]:
    """What the metrics keep besides their values, by metric, model and split; nothing if they keep nothing."""
    found: dict[str, Any] = {}
    for metric in map(pair.kind.metric, pair.task.metrics):
        told = {
            side: {split: metric.details(*part) for split, part in of.items() if None not in part.truth}
            for side, of in parts.items()
        }
        if any(any(of.values()) for of in told.values()):
            found[metric.column.name] = told
    return {"details": found} if found else {}


def _of_kind(pair: Pair) -> dict[str, Any]:
    """What the kind says that the artifact's scores depend on, by split; nothing if it says nothing.

    A function of texts shares nothing of it: it has no tokenizer and decodes in its own way.
    """
    if pair.closed:
        return {}
    found = {
        split: pair.kind.conditions(
            pair.evaluator.examples(split), pair.artifact.tokenizer, task=pair.task, max_length=pair.max_length
        )
        for split in pair.task.evaluate
    }
    return {"scored": found} if any(found.values()) else {}


def _decided(pair: Pair) -> dict[str, Any]:
    """What was decided for all examples of a split together, such as a threshold, for each model by itself."""
    found = {
        side: {
            split: decided
            for split in pair.task.evaluate
            if (decided := pair.evaluator.predict(loaded, split).decided())
        }
        for side, loaded in (("artifact", pair.artifact), ("reference", pair.reference))
    }
    return {"decided": found} if any(found.values()) else {}


def _by_part(pair: Pair) -> dict[str, Any]:
    """Metrics of each part that the kind sees in the examples, by model and split, with the number of examples."""
    found: dict[str, dict[str, Any]] = {"artifact": {}, "reference": {}}
    for split in pair.task.evaluate:
        rows = _rows([pair.kind.parts(example) for example in pair.evaluator.examples(split)])
        for side, loaded in (("artifact", pair.artifact), ("reference", pair.reference)):
            for part in sorted(rows):
                scores = _score_rows(pair, loaded, split, rows[part])
                found[side].setdefault(split, {})[part] = {**scores, "examples": len(rows[part])}
    return {"by_part": found} if any(found.values()) else {}
