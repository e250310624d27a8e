"""How far two models' outputs agree on the same examples: equal labels, near probabilities, correlated scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

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
    """Pearson correlation of two regression outputs [examples]; None if one of them is constant."""
    import numpy as np

    if len(reference) < 2 or np.ptp(reference) == 0 or np.ptp(artifact) == 0:
        return None
    return float(np.clip(np.corrcoef(reference, artifact)[0, 1], -1, 1))


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
