"""The measure of agreement with the reference, over all examples, with its interval and the predictions to check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.statistics import score_interval
from bench.columns import column
from bench.measures.agreement.loyalty import (
    OF_ITSELF,
    PROBABILITY,
    compare,
    fidelity_kl,
    joined,
    loyalty_by_class,
    loyalty_by_confidence,
    same_label,
)
from bench.measures.agreement.next_tokens import compare_next_tokens
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.records.tables import TABLE, prediction_table
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.tokens import TokenKind

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ENDS = column("label_loyalty").ends


class Agreement(Measure):
    """Means over the examples of all evaluation splits together; no labels are needed.

    Which column is present depends on the predictions: classes, scores or answers. For language models labels are
    next tokens, and both columns that there are come from a sample of them.
    """

    name = "agreement"
    columns = ("label_loyalty", *ENDS.names(), *PROBABILITY, "fidelity_kl_train", "output_correlation")
    says = "how far the artifact says what the reference says: labels, probabilities, regression outputs, answers"
    budget_s = 2.0

    def read(self, pair: Pair) -> Reading:
        """Compare the two models' predictions on the same examples, and keep these for later."""
        reading = Reading(conditions={"splits": list(pair.task.evaluate), "loyalty_base": 2, "kl_unit": "nats"})
        artifact = joined([pair.evaluator.predict(pair.artifact, split) for split in pair.task.evaluate])
        reference = joined([pair.evaluator.predict(pair.reference, split) for split in pair.task.evaluate])
        reading.conditions["examples"] = sum(len(pair.evaluator.examples(split)) for split in pair.task.evaluate)
        same = same_label(reference, artifact)
        kind = KINDS.get(pair.task.kind)
        columns = (
            compare_next_tokens(reading, pair, kind) if isinstance(kind, TokenKind) else compare(reference, artifact)
        )
        for name, found in columns.items():
            if isinstance(found, str):
                reading.leave(found, name)
            else:
                reading.give(name, found, reference=OF_ITSELF[name])
        _bound(reading, pair, same)
        _compare_on_training_data(reading, pair)
        if reference.logits is not None and artifact.logits is not None:
            by_class = loyalty_by_class(reference.logits, artifact.logits, pair.task.labels)
            by_confidence = loyalty_by_confidence(reference.logits, artifact.logits)
            reading.conditions |= {"loyalty_by_class": by_class, "loyalty_by_confidence": by_confidence}
        elif artifact.answers is not None:
            reading.conditions["label_loyalty"] = "share of equal answer strings"
            if pair.task.kind == "translation":
                from bench.tasks.metrics.bleu import corpus_bleu

                said = artifact.answers, reference.answers or ()
                reading.conditions["bleu_against_reference"] = corpus_bleu(*said)
        reading.tables[TABLE] = prediction_table(pair, _kept(reading, pair))
        return reading


def _bound(reading: Reading, pair: Pair, same: Array | None) -> None:
    """Give label loyalty its bootstrap interval over the examples."""
    import numpy as np

    if same is None:
        correlated = "the next tokens of one text depend on each other, so they give no interval"
        reading.leave(reading.absent.get("label_loyalty", correlated), *ENDS.names())
        return
    interval = score_interval(
        lambda chosen: float(same[chosen].mean()), len(same), generator=np.random.default_rng(pair.seed)
    )
    if interval is None:
        reading.leave("one example has no interval", *ENDS.names())
        return
    reading.give(ENDS.low, interval.low)
    reading.give(ENDS.high, interval.high)


def _compare_on_training_data(reading: Reading, pair: Pair) -> None:
    if "fidelity_kl" in reading.absent:
        reading.leave(reading.absent["fidelity_kl"], "fidelity_kl_train")
        return
    if isinstance(KINDS.get(pair.task.kind), TokenKind):
        reading.leave("next tokens are compared on the evaluation splits only", "fidelity_kl_train")
        return
    if pair.task.trained_on is not None:
        reason = f"the model was trained on task '{pair.task.trained_on}', not on this one"
        reading.leave(reason, "fidelity_kl_train")
        return
    import numpy as np

    limit = pair.setting.measuring.train_examples
    reference, artifact = (
        np.asarray(pair.evaluator.predict(loaded, pair.task.train, limit=limit).logits)
        for loaded in (pair.reference, pair.artifact)
    )
    reading.give("fidelity_kl_train", fidelity_kl(reference, artifact), reference=0.0)
    reading.conditions |= {"train_examples": len(reference), "train_split": pair.task.train}


def _kept(reading: Reading, pair: Pair) -> list[tuple[str, int | None]]:
    """Which splits' predictions are stored: every one that a column of this measure was computed on."""
    kept: list[tuple[str, int | None]] = [(split, None) for split in pair.task.evaluate]
    if "train_split" in reading.conditions and pair.task.train not in pair.task.evaluate:
        kept.append((pair.task.train, pair.setting.measuring.train_examples))
    return kept


MEASURES.register("agreement")(Agreement())
