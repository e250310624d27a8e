"""Altered examples beside those that they were made from: both scores, the paired gap, and the worst versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.measures.base.measure import Pair
from bench.measures.quality.quality import quality_of
from bench.tasks.shifted import original_of

if TYPE_CHECKING:
    import numpy as np

    from bench.artifacts.artifact import Loaded

    Array = np.ndarray[Any, Any]


def compare_altered(pair: Pair, loaded: Loaded, split: str, pattern: str) -> dict[str, Any]:
    """Scores of one model on the original and on the altered examples of a split, as JSON values.

    `original` and `altered` are the task's metrics over each part. `pairs` are over the originals that have altered
    versions, each with the same weight: the quality on them, the mean over their versions, and the difference. `worst`
    takes of each original the version on which the model does worst, or itself if it has none: so AddSent is scored
    (Jia and Liang 2017, arXiv:1707.07328; eval_squad.py of robinjia/adversarial-squad, which orders the versions by F1
    alone).

    Raises `DataError` if a part is empty, an example has no original, labels are hidden, or a metric is undefined.
    """
    import numpy as np

    families = _families(pair, split, pattern)
    rows = list(families.values())
    found: dict[str, Any] = {
        "original": _scored(pair, loaded, split, [row for row, _ in rows]),
        "altered": _scored(pair, loaded, split, [row for _, versions in rows for row in versions]),
    }
    values = _each(pair, loaded, split)
    if isinstance(values, str):
        return found | {"pairs": values, "worst": values}
    quality = np.mean(list(values.values()), axis=0)  # [examples]
    with_versions = [(row, versions) for row, versions in rows if versions]
    before = float(quality[[row for row, _ in with_versions]].mean())
    after = sum(float(quality[versions].mean()) for _, versions in with_versions) / len(with_versions)
    chosen = _worst(rows, values)
    worst = {name: float(each[chosen].mean()) for name, each in values.items()}
    return found | {
        "pairs": {"examples": len(with_versions), "original": before, "altered": after, "gap": before - after},
        "worst": {"examples": len(chosen), **worst, "quality": quality_of(pair, worst)},
    }


def score_altered(pair: Pair, loaded: Loaded, split: str, pattern: str) -> tuple[dict[str, float], int]:
    """The task's metrics of one model on a split with altered examples, and the number of examples that count.

    They are those of the worst versions, without the originals that have versions: these are not shifted. If a metric
    is not a mean over examples, they are those of all altered examples. Raises `DataError` as `compare_altered` does.
    """
    rows = list(_families(pair, split, pattern).values())
    pair.kind.known_truths(pair.evaluator.examples(split))
    values = _each(pair, loaded, split)
    if isinstance(values, str):
        versions = [version for _, of in rows for version in of]
        scores = _scored(pair, loaded, split, versions)
        return {name: scores[name] for name in pair.task.metrics}, len(versions)
    chosen = _worst(rows, values)
    return {name: float(values[name][chosen].mean()) for name in pair.task.metrics}, len(chosen)


def _worst(rows: list[tuple[int, list[int]]], values: dict[str, Array]) -> list[int]:
    """Of each original the row of the version with the lowest quality, or its own if it has none."""
    import numpy as np

    quality = np.mean(list(values.values()), axis=0)  # [examples]
    return [min(versions or [row], key=lambda each: float(quality[each])) for row, versions in rows]


def _families(pair: Pair, split: str, pattern: str) -> dict[str, tuple[int, list[int]]]:
    """By the id of each original its row and the rows of its versions."""
    uids = [example.uid for example in pair.evaluator.examples(split)]
    made_from = [original_of(pattern, uid) for uid in uids]
    families: dict[str, tuple[int, list[int]]] = {
        uid: (row, []) for row, uid in enumerate(uids) if made_from[row] == uid
    }
    for row, uid in enumerate(uids):
        if made_from[row] == uid:
            continue
        if made_from[row] not in families:
            raise DataError(f"example {uid} was made from {made_from[row]}, which is not in the split")
        families[made_from[row]][1].append(row)
    if not any(versions for _, versions in families.values()):
        raise DataError(f"no id ends as the pattern {pattern!r} says, so no example is an altered one")
    return families


def _scored(pair: Pair, loaded: Loaded, split: str, rows: list[int]) -> dict[str, float | int]:
    examples, said = pair.evaluator.examples(split), pair.evaluator.predict(loaded, split)
    context = pair.evaluator.context(loaded, split).at(rows)
    scores = pair.kind.score(said.chosen(rows), [examples[row] for row in rows], pair.task.metrics, context)
    return {"examples": len(rows), **scores, "quality": quality_of(pair, scores)}


def _each(pair: Pair, loaded: Loaded, split: str) -> dict[str, Array] | str:
    """By metric the value of every example, [examples]; if a metric is not a mean over examples, why there are none."""
    answered = pair.answered(loaded, split)
    found = {}
    for name in pair.task.metrics:
        metric = pair.kind.metric(name)
        values = metric.each(*metric.compared(*answered))
        if values is None:
            return f"{name} is not a mean over examples, so single ones cannot be compared"
        found[name] = values
    return found
