"""The measure of agreement with the reference, over all examples, with its interval and the predictions to check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.statistics import score_interval
from bench.columns import column
from bench.measures.agreement.next_tokens import compare_next_tokens
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.tasks.prediction_tables import TABLE, prediction_table
from bench.tasks.predictions import OF_ITSELF, PROBABILITY

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ENDS = column("label_loyalty").ends


class Agreement(Measure):
    """Means over the examples of all evaluation splits together; no labels are needed.

    The columns depend on the kind of predictions: classes, scores or answers. For language models labels are
    next tokens, and both columns are computed on a sample of them.
    """

    name = "agreement"
    columns = (
        "label_loyalty",
        *ENDS.names(),
        *PROBABILITY,
        "fidelity_kl_train",
        "output_correlation",
        "ranking_overlap",
    )
    says = "agreement of the artifact with the reference: labels, probabilities, regression outputs, answers"
    budget_s = 2.0
    asks = True

    def read(self, pair: Pair) -> Reading:
        """Compare the two models' predictions on the same examples, and keep these for later."""
        reading = Reading(conditions={"splits": list(pair.task.evaluate), "loyalty_base": 2, "kl_unit": "nats"})
        said = [pair.said(split) for split in pair.task.evaluate]
        form = pair.kind.predicts
        artifact, reference = form.joined([part.artifact for part in said]), form.joined([p.reference for p in said])
        reading.conditions["examples"] = sum(len(part.uids) for part in said)
        columns = compare_next_tokens(reading, pair) if pair.kind.tokens_compared else reference.agreement(artifact)
        for name, found in {"ranking_overlap": "the task ranks no documents", **columns}.items():
            if isinstance(found, str):
                reading.leave(found, name)
            else:
                reading.give(name, found, reference=OF_ITSELF[name])
        _bound(reading, pair, reference.same(artifact))
        _compare_on_training_data(reading, pair)
        reading.conditions |= pair.kind.agreement_details(reference, artifact, pair.task)
        reading.tables[TABLE] = prediction_table(
            {split: pair.said(split, limit) for split, limit in _kept(reading, pair)}
        )
        return reading


def _bound(reading: Reading, pair: Pair, same: Array | None) -> None:
    """Give label loyalty its bootstrap interval over the examples."""
    import numpy as np

    if same is None:
        correlated = "the next tokens of one text are not independent, so no interval is computed"
        reading.leave(reading.absent.get("label_loyalty", correlated), *ENDS.names())
        return
    interval = score_interval(
        lambda chosen: float(same[chosen].mean()), len(same), generator=np.random.default_rng(pair.seed)
    )
    if interval is None:
        reading.leave("an interval needs at least two examples", *ENDS.names())
        return
    reading.give(ENDS.low, interval.low)
    reading.give(ENDS.high, interval.high)


def _compare_on_training_data(reading: Reading, pair: Pair) -> None:
    if "fidelity_kl" in reading.absent:
        reading.leave(reading.absent["fidelity_kl"], "fidelity_kl_train")
        return
    if pair.kind.tokens_compared:
        reading.leave("next-token agreement is computed on the evaluation splits only", "fidelity_kl_train")
        return
    if pair.task.trained_on is not None:
        reason = f"the model was trained on task '{pair.task.trained_on}', not on this one"
        reading.leave(reason, "fidelity_kl_train")
        return
    limit = pair.setting.measuring.train_examples
    said = pair.said(pair.task.train, limit)
    found = said.reference.agreement(said.artifact)["fidelity_kl"]
    if isinstance(found, str):
        reading.leave(found, "fidelity_kl_train")
        return
    reading.give("fidelity_kl_train", found, reference=0.0)
    reading.conditions |= {"train_examples": len(said.uids), "train_split": pair.task.train}


def _kept(reading: Reading, pair: Pair) -> list[tuple[str, int | None]]:
    """Which splits' predictions are stored: every one that a column of this measure was computed on."""
    kept: list[tuple[str, int | None]] = [(split, None) for split in pair.task.evaluate]
    if "train_split" in reading.conditions and pair.task.train not in pair.task.evaluate:
        kept.append((pair.task.train, pair.setting.measuring.train_examples))
    return kept


MEASURES.register("agreement")(Agreement())
