"""Agreement with the reference: equal labels, near probabilities, correlated outputs, on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.measures.measure import MEASURES, Measure, Pair, Reading

if TYPE_CHECKING:
    import numpy as np

    from bench.artifact import Loaded
    from bench.tasks.kinds.kind import Predictions

    Array = np.ndarray[Any, Any]

PROBABILITY = ("probability_loyalty", "fidelity_kl", "fidelity_kl_train")


def label_loyalty(reference: Array, artifact: Array) -> float:
    """Share of examples with the same argmax; both [examples, classes] logits.

    Xu et al. 2021, "Beyond Preserved Accuracy" (arXiv:2109.03228); the same number as the top-1 agreement of
    Stanton et al. 2021 (arXiv:2106.05945).
    """
    return float((reference.argmax(axis=1) == artifact.argmax(axis=1)).mean())


def probability_loyalty(reference: Array, artifact: Array) -> float:
    """Mean over examples of 1 - sqrt(JS divergence in bits); both [examples, classes] logits, result in [0, 1].

    Xu et al. 2021 (arXiv:2109.03228). Their repository points to scipy's `jensenshannon`, which takes the root
    itself and uses nats, where disjoint predictions keep 0.1674; in base 2 they get 0, which we report.
    """
    import numpy as np
    from scipy.special import rel_entr, softmax

    p, q = softmax(reference, axis=1), softmax(artifact, axis=1)  # [examples, classes]
    middle = (p + q) / 2
    bits = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / (2 * np.log(2))
    return float((1 - np.sqrt(np.clip(bits, 0, 1))).mean())


def fidelity_kl(reference: Array, artifact: Array) -> float:
    """Mean KL(reference || artifact) in nats at temperature 1; both [examples, classes] logits.

    Stanton et al. 2021 (arXiv:2106.05945): the teacher comes first.
    """
    import numpy as np
    from scipy.special import log_softmax

    log_p, log_q = log_softmax(reference, axis=1), log_softmax(artifact, axis=1)
    return float(np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=1), 0).mean())


def output_correlation(reference: Array, artifact: Array) -> float | None:
    """Pearson correlation of two regression outputs [examples]; None where one of them is constant."""
    import numpy as np

    if len(reference) < 2 or np.ptp(reference) == 0 or np.ptp(artifact) == 0:
        return None
    return float(np.clip(np.corrcoef(reference, artifact)[0, 1], -1, 1))


class Agreement(Measure):
    """Means over the examples of all evaluation splits together; no labels are needed.

    Which column is present depends on the predictions: classes, scores or answers.
    """

    name = "agreement"
    columns = ("label_loyalty", *PROBABILITY, "output_correlation")
    says = "how far the artifact says what the reference says: labels, probabilities, regression outputs, answers"

    def read(self, pair: Pair) -> Reading:
        """Compare the two models' predictions on the same examples."""
        reading = Reading(conditions={"splits": list(pair.task.evaluate), "loyalty_base": 2, "kl_unit": "nats"})
        artifact = [pair.evaluator.predict(pair.artifact, split) for split in pair.task.evaluate]
        reference = [pair.evaluator.predict(pair.reference, split) for split in pair.task.evaluate]
        reading.conditions["examples"] = sum(len(pair.evaluator.examples(split)) for split in pair.task.evaluate)
        if artifact[0].logits is not None:
            _compare_classes(reading, pair, _logits(reference), _logits(artifact))
        elif artifact[0].values is not None:
            _compare_scores(reading, _values(reference), _values(artifact))
        else:
            _compare_answers(reading, reference, artifact)
        return reading


def _compare_classes(reading: Reading, pair: Pair, reference: Array, artifact: Array) -> None:
    reading.give("label_loyalty", label_loyalty(reference, artifact), reference=1.0)
    reading.give("probability_loyalty", probability_loyalty(reference, artifact), reference=1.0)
    reading.give("fidelity_kl", fidelity_kl(reference, artifact), reference=0.0)
    reading.leave("the task predicts labels, not scores", "output_correlation")
    if pair.task.trained_on is not None:
        reason = f"the model was trained on task '{pair.task.trained_on}', not on this one"
        reading.leave(reason, "fidelity_kl_train")
        return
    limit = pair.setting.measuring.train_examples

    def trained(loaded: Loaded) -> Array:
        return _logits([pair.evaluator.predict(loaded, pair.task.train, limit=limit)])

    seen = trained(pair.reference)
    reading.give("fidelity_kl_train", fidelity_kl(seen, trained(pair.artifact)), reference=0.0)
    reading.conditions["train_examples"] = len(seen)


def _compare_scores(reading: Reading, reference: Array, artifact: Array) -> None:
    reading.leave("a regression output is not a label", "label_loyalty")
    reading.leave("a regression output is not a probability", *PROBABILITY)
    correlation = output_correlation(reference, artifact)
    if correlation is None:
        reading.leave("one of the two models gives the same output for every example", "output_correlation")
    else:
        reading.give("output_correlation", correlation, reference=1.0)


def _compare_answers(reading: Reading, reference: Sequence[Predictions], artifact: Sequence[Predictions]) -> None:
    said, expected = ([text for part in parts for text in part.answers or ()] for parts in (artifact, reference))
    equal = sum(one == other for one, other in zip(said, expected, strict=True))
    reading.give("label_loyalty", equal / len(expected), reference=1.0)
    reading.conditions["label_loyalty"] = "share of equal answer strings"
    reading.leave("an answer span has no probabilities over classes", *PROBABILITY)
    reading.leave("the task predicts answers, not scores", "output_correlation")


def _logits(parts: Sequence[Predictions]) -> Array:
    import numpy as np

    return np.concatenate([np.asarray(part.logits, dtype=np.float64) for part in parts])


def _values(parts: Sequence[Predictions]) -> Array:
    import numpy as np

    return np.concatenate([np.asarray(part.values, dtype=np.float64) for part in parts])


MEASURES.register("agreement")(Agreement())
