"""Out-of-distribution robustness: quality on shifted data, the gap to it, and its ratio to the reference's gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.quality.conditions import by_group
from bench.measures.quality.quality import Scores, at_chance, averaged, quality_of, score_both
from bench.measures.robustness.altered import compare_altered, score_altered
from bench.tasks.prediction_tables import prediction_table
from bench.tasks.predictions import ClassLogits
from bench.tasks.shifted import PREFIX, folded_labels, shifted_of, shifted_splits

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded

SMALLEST_GAP = 0.001  # our decision: a reference gap below a tenth of a point makes the quotient noise


class Robustness(Measure):
    """Quality on shifted data of a model trained on the original data (Du et al. 2021, arXiv:2110.08419).

    gap = quality - quality on the shifted data; relative bias = gap / the reference's gap, so that the reference
    itself has 1. The survey does not give the paper's exact formula; this interpretation is ours. Shifted data are the
    task's shifted splits and sets, each with the same weight. `conditions` has quality, gap and relative bias of each
    (`sets`), with the scores of its groups, such as the heuristics of a challenge set, and of examples that were
    altered beside those that they were made from. A set of the latter kind counts with the worst version of each
    example, as AddSent is scored: the examples that were not altered are no shifted data.
    """

    name = "robustness"
    columns = ("ood_quality", "ood_gap", "ood_relative_bias")
    says = (
        "quality on the task's shifted splits and sets, the gap to the quality on its own splits, and the ratio to the "
        "reference's gap"
    )
    budget_s = 5.0
    asks = True

    def read(self, pair: Pair) -> Reading:
        """Score both models on the shifted data; absent if the task has none or hides its labels."""
        reading = Reading()
        splits = shifted_splits(pair.task)
        if not splits:
            reading.leave("the task has no shifted splits", *self.columns)
            return reading
        shifted, reference_shifted = _score_both(pair, splits)
        reading.tables["shifted"] = prediction_table({split: pair.said(split) for split in splits})
        usual, reference_usual = score_both(pair, pair.task.evaluate)
        counts = {split: len(pair.evaluator.examples(split)) for split in splits}
        by_split = {
            side: scores.splits if isinstance(scores, Scores) else {}
            for side, scores in (("artifact", shifted), ("reference", reference_shifted))
        }
        reading.conditions = {"evaluate": list(pair.task.evaluate), "ood": counts, "by_split": by_split}
        reading.conditions["sets"] = {
            split.removeprefix(PREFIX): _set(pair, split, usual, reference_usual) for split in splits
        }
        _warn_of_chance(reading, pair, splits)
        if isinstance(shifted, str):
            reading.leave(shifted, *self.columns)
            return reading
        known = reference_shifted if isinstance(reference_shifted, Scores) else None
        reading.give("ood_quality", shifted.quality, reference=known.quality if known else None)
        gap, reference_gap = _gap(usual, shifted), _gap(reference_usual, reference_shifted)
        if isinstance(gap, str):
            reading.leave(gap, "ood_gap", "ood_relative_bias")
            return reading
        reading.give("ood_gap", gap, reference=None if isinstance(reference_gap, str) else reference_gap)
        bias = _relative_bias(gap, reference_gap)
        if isinstance(bias, str):
            reading.leave(bias, "ood_relative_bias")
        else:
            reading.give("ood_relative_bias", bias, reference=1.0)
        return reading


def _score_both(pair: Pair, splits: tuple[str, ...]) -> tuple[Scores | str, Scores | str]:
    """The scores of the artifact and of the reference on shifted splits, or why there are none."""
    artifact = _score(pair, pair.artifact, splits)
    return artifact, artifact if pair.is_reference else _score(pair, pair.reference, splits)


def _score(pair: Pair, loaded: Loaded, splits: tuple[str, ...]) -> Scores | str:
    found = {}
    for split in splits:
        pattern = _altered(pair, split)
        try:
            if pattern is None:
                found[split] = pair.evaluator.score(loaded, split)
            else:
                found[split], _ = score_altered(pair, loaded, split, pattern)
        except DataError as error:
            return str(error)
    return averaged(pair, found)


def _altered(pair: Pair, split: str) -> str | None:
    """How the ids of altered examples end, if a split holds some beside those that they were made from."""
    shifted = shifted_of(pair.task, split)
    return None if shifted is None else shifted.altered


def _gap(usual: Scores | str, shifted: Scores | str) -> float | str:
    """Quality in distribution minus quality on the shifted splits, or why one of the two is missing."""
    if isinstance(usual, str):
        return usual
    return shifted if isinstance(shifted, str) else usual.quality - shifted.quality


def _relative_bias(gap: float, reference_gap: float | str) -> float | str:
    """The quotient of the gaps, or why there is none."""
    if isinstance(reference_gap, str):
        return f"the reference has no gap: {reference_gap}"
    if reference_gap <= SMALLEST_GAP:
        return f"the reference's gap is {reference_gap:.4f}; a ratio of gaps needs more than {SMALLEST_GAP}"
    return gap / reference_gap


def _quality(scores: Scores | str) -> float | str:
    return scores if isinstance(scores, str) else scores.quality


def _set(pair: Pair, split: str, usual: Scores | str, reference_usual: Scores | str) -> dict[str, Any]:
    """What the record keeps of one shifted split or set, as JSON values; instead of a missing value, its reason."""
    shifted, reference_shifted = _score_both(pair, (split,))
    gap, reference_gap = _gap(usual, shifted), _gap(reference_usual, reference_shifted)
    found: dict[str, Any] = {
        "examples": len(pair.evaluator.examples(split)),
        "quality": {"artifact": _quality(shifted), "reference": _quality(reference_shifted)},
        "gap": {"artifact": gap, "reference": reference_gap},
        "relative_bias": gap if isinstance(gap, str) else _relative_bias(gap, reference_gap),
    }
    sides = (("artifact", pair.artifact), ("reference", pair.reference))
    details = {side: _details(pair, loaded, split) for side, loaded in sides}
    found |= {name: {side: details[side][name] for side in details} for name in details["artifact"]}
    chosen = shifted_of(pair.task, split)
    if chosen is not None and chosen.title:
        found["title"] = chosen.title
    if chosen is not None and chosen.altered is not None and isinstance(shifted, Scores):
        found["examples"] = score_altered(pair, pair.artifact, split, chosen.altered)[1]
        found["examples_read"] = len(pair.evaluator.examples(split))
    if chosen is not None and chosen.fold:
        found["fold"] = {"of": dict(chosen.fold), "by": "summed probabilities"}
    return found


def _details(pair: Pair, loaded: Loaded, split: str) -> dict[str, Any]:
    """What is kept of one model: scores by group, shares of right examples by label, altered beside original ones."""
    found: dict[str, Any] = {}
    groups = by_group(pair, loaded, split)
    if groups:
        found["groups"] = {
            group: scores if "absent" in scores else {**scores, "quality": quality_of(pair, scores)}
            for group, scores in groups.items()
        }
    by_label = _right_by_label(pair, loaded, split)
    if by_label:
        found["right_by_label"] = by_label
    chosen = shifted_of(pair.task, split)
    if chosen is not None and chosen.altered is not None:
        try:
            found["altered"] = compare_altered(pair, loaded, split, chosen.altered)
        except DataError as error:
            found["altered"] = str(error)
    return found


def _right_by_label(pair: Pair, loaded: Loaded, split: str) -> dict[str, Any]:
    """The share of right examples of each label, under the group if there are groups; empty if that means nothing.

    HANS is reported so (McCoy et al. 2019, arXiv:1902.01007, table 4): a model that follows a heuristic is right on
    nearly all entailed pairs of its group, and on nearly none of the others.
    """
    examples, said = pair.evaluator.examples(split), pair.evaluator.predict(loaded, split)
    truths = [example.label for example in examples if isinstance(example.label, int)]
    if not isinstance(said, ClassLogits) or len(truths) < len(examples):
        return {}
    chosen = shifted_of(pair.task, split)
    labels = pair.task.labels if chosen is None else folded_labels(pair.task, chosen)
    tallies: dict[str | None, dict[str, list[bool]]] = {}
    for example, truth, predicted in zip(examples, truths, said.classes.tolist(), strict=True):
        tallies.setdefault(example.group, {}).setdefault(labels[truth], []).append(predicted == truth)
    shares = {
        group: {label: sum(right) / len(right) for label, right in found.items()} for group, found in tallies.items()
    }
    return shares[None] if set(shares) == {None} else {group or "without group": each for group, each in shares.items()}


def _warn_of_chance(reading: Reading, pair: Pair, splits: tuple[str, ...]) -> None:
    """Flag shifted data on which the reference is not clearly better than always predicting the most frequent label."""
    for split in splits:
        shares = at_chance(pair, (split,))
        if shares is not None:
            reading.warn(
                "reference-at-chance",
                f"on {split.removeprefix(PREFIX)} the reference gets {shares[0]:.1%} right, and always predicting the "
                f"most frequent label gets {shares[1]:.1%}, so its gap measures chance, and relative bias says little.",
            )


MEASURES.register("robustness")(Robustness())
