"""Calibration: whether a model that is 80 % sure is right 80 % of the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BINS = 15  # Guo et al. 2017, table 1


def expected_calibration_error(logits: Array, labels: Sequence[int]) -> float:
    """Mean over examples of |accuracy - mean confidence| of the bin an example's confidence falls into, in [0, 1].

    Guo et al. 2017 (arXiv:1706.04599), section 2, equation 3: 15 bins of equal width over (0, 1], each open below and
    closed above; the confidence is the probability of the predicted class, softmax at temperature 1.

    Args:
        logits: [examples, classes].
        labels: the true classes, [examples].
    """
    import numpy as np
    from scipy.special import softmax

    confidence = softmax(logits, axis=1).max(axis=1)  # [examples]
    right = logits.argmax(axis=1) == np.asarray(labels)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    surplus = np.bincount(bins, weights=right - confidence, minlength=BINS)  # examples in the bin times its difference
    return float(np.abs(surplus).sum() / len(confidence))
