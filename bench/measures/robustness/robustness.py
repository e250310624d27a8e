"""Out-of-distribution robustness: quality on shifted splits, the gap to it, and its ratio to the reference's gap."""

from __future__ import annotations

from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.quality.quality import Scores, score_both
from bench.tasks.prediction_tables import prediction_table

SMALLEST_GAP = 0.001  # our decision: a reference gap below a tenth of a point makes the quotient noise


class Robustness(Measure):
    """Quality on shifted splits of a model trained on the original data (Du et al. 2021, arXiv:2110.08419).

    gap = quality - quality on the shifted splits; relative bias = gap / the reference's gap, so that the reference
    itself has 1. The survey does not give the paper's exact formula; this interpretation is ours. Every shifted split
    has the same weight; `conditions` contain the scores of each, so that separate splits for the heuristics of a
    challenge set are reported separately.
    """

    name = "robustness"
    columns = ("ood_quality", "ood_gap", "ood_relative_bias")
    says = (
        "quality on the task's shifted splits, the gap to the quality on its own splits, and the ratio to the "
        "reference's gap"
    )
    budget_s = 5.0

    def read(self, pair: Pair) -> Reading:
        """Score both models on the shifted splits; absent if the task has none or hides its labels."""
        reading = Reading()
        if not pair.task.ood:
            reading.leave("the task has no shifted splits", *self.columns)
            return reading
        shifted, reference_shifted = score_both(pair, pair.task.ood)
        reading.tables["shifted"] = prediction_table({split: pair.said(split) for split in pair.task.ood})
        usual, reference_usual = score_both(pair, pair.task.evaluate)
        counts = {split: len(pair.evaluator.examples(split)) for split in pair.task.ood}
        by_split = {
            side: scores.splits if isinstance(scores, Scores) else {}
            for side, scores in (("artifact", shifted), ("reference", reference_shifted))
        }
        reading.conditions = {"evaluate": list(pair.task.evaluate), "ood": counts, "by_split": by_split}
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
        if isinstance(reference_gap, str):
            reading.leave(f"the reference has no gap: {reference_gap}", "ood_relative_bias")
        elif reference_gap <= SMALLEST_GAP:
            reason = f"the reference's gap is {reference_gap:.4f}; a ratio of gaps needs more than {SMALLEST_GAP}"
            reading.leave(reason, "ood_relative_bias")
        else:
            reading.give("ood_relative_bias", gap / reference_gap, reference=1.0)
        return reading


def _gap(usual: Scores | str, shifted: Scores | str) -> float | str:
    """Quality in distribution minus quality on the shifted splits, or why one of the two is missing."""
    if isinstance(usual, str):
        return usual
    return shifted if isinstance(shifted, str) else usual.quality - shifted.quality


MEASURES.register("robustness")(Robustness())
