"""How far two models' predictions agree: equal labels, near probabilities, correlated outputs, on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.tasks.kinds.kind import Predictions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PROBABILITY = ("probability_loyalty", "fidelity_kl")
OF_ITSELF = {"label_loyalty": 1.0, "probability_loyalty": 1.0, "fidelity_kl": 0.0, "output_correlation": 1.0}
CONFIDENCE_BINS = 5  # ours: fifths of the examples, so that each bin has enough of them


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


def same_label(reference: Predictions, artifact: Predictions) -> Array | None:
    """Whether both models give an example the same label or the same answer string, [examples]; None for scores."""
    import numpy as np

    if reference.logits is not None and artifact.logits is not None:
        return np.asarray(reference.logits.argmax(axis=1) == artifact.logits.argmax(axis=1))
    if reference.answers is not None and artifact.answers is not None:
        return np.array([one == other for one, other in zip(reference.answers, artifact.answers, strict=True)])
    return None


def compare(reference: Predictions, artifact: Predictions) -> dict[str, float | str]:
    """Every column of `OF_ITSELF` for two models' predictions on the same examples, or why it does not exist."""
    if reference.logits is not None and artifact.logits is not None:
        return {
            "label_loyalty": label_loyalty(reference.logits, artifact.logits),
            "probability_loyalty": probability_loyalty(reference.logits, artifact.logits),
            "fidelity_kl": fidelity_kl(reference.logits, artifact.logits),
            "output_correlation": "the task predicts labels, not scores",
        }
    same = same_label(reference, artifact)
    if same is not None:
        no_classes = "an answer or a written text has no probabilities over classes"
        return {
            "label_loyalty": float(same.mean()),
            **dict.fromkeys(PROBABILITY, no_classes),
            "output_correlation": "the task predicts answers, not scores",
        }
    if reference.losses is not None:
        return dict.fromkeys(OF_ITSELF, "a language model's losses are no labels; see the next tokens")
    correlation = output_correlation(_array(reference.values), _array(artifact.values))
    return {
        "label_loyalty": "a regression output is not a label",
        **dict.fromkeys(PROBABILITY, "a regression output is not a probability"),
        "output_correlation": "one of the two models gives the same output for every example"
        if correlation is None
        else correlation,
    }


def loyalty_by_class(reference: Array, artifact: Array, labels: Sequence[str]) -> dict[str, dict[str, float | int]]:
    """Label loyalty among the examples that the reference gives each class; a class it never gives is left out."""
    said, same = reference.argmax(axis=1), reference.argmax(axis=1) == artifact.argmax(axis=1)
    return {
        label: {"examples": int((said == number).sum()), "label_loyalty": float(same[said == number].mean())}
        for number, label in enumerate(labels)
        if (said == number).any()
    }


def loyalty_by_confidence(reference: Array, artifact: Array) -> list[dict[str, float | int]]:
    """Label loyalty by how sure the reference is: fifths of the examples, the least sure first.

    Each bin has the `least` and the `most` of the reference's top probability in it. Examples with equal confidence
    share a bin, so bins may differ in size and an empty one is left out.
    """
    import numpy as np
    from scipy.special import softmax

    sure = softmax(reference, axis=1).max(axis=1)  # [examples]
    same = reference.argmax(axis=1) == artifact.argmax(axis=1)
    edges = np.quantile(sure, np.linspace(0, 1, CONFIDENCE_BINS + 1))
    bins = np.searchsorted(edges[1:-1], sure, side="left")
    return [
        {
            "least": float(sure[bins == number].min()),
            "most": float(sure[bins == number].max()),
            "examples": int((bins == number).sum()),
            "label_loyalty": float(same[bins == number].mean()),
        }
        for number in np.unique(bins)
    ]


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several splits as one."""
    import numpy as np

    if parts[0].logits is not None:
        return Predictions(logits=np.concatenate([_array(part.logits) for part in parts]))
    if parts[0].values is not None:
        return Predictions(values=np.concatenate([_array(part.values) for part in parts]))
    if parts[0].losses is not None:
        return Predictions(losses=np.concatenate([_array(part.losses) for part in parts]))
    return Predictions(answers=tuple(answer for part in parts for answer in part.answers or ()))


def _array(values: Any) -> Array:
    import numpy as np

    return np.asarray(values, dtype=np.float64)
