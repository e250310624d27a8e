"""Calibration error beside hand-made values, a loop over the bins, and what never changes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from bench.measures.quality.quality import expected_calibration_error

LOGITS = arrays(np.float64, (37, 3), elements=st.floats(-5, 5, width=32))
LABELS = arrays(np.int64, 37, elements=st.integers(0, 2))


def sure(*shares):
    """Logits of class 0 with the given probabilities, of two classes."""
    return np.log(np.array([[share, 1 - share] for share in shares]))


def by_hand(logits, labels):
    """Guo et al. 2017, equation 3, bin by bin."""
    probabilities = softmax(logits, axis=1)
    confidence, right = probabilities.max(axis=1), logits.argmax(axis=1) == labels  # rounding can tie probabilities
    total = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_calibration_error_of_two_bins_is_the_hand_computed_one():
    logits, labels = sure(0.9, 0.92, 0.55, 0.57), [0, 1, 0, 0]  # bins (13/15, 14/15] and (8/15, 9/15]
    assert expected_calibration_error(logits, labels) == pytest.approx((abs(1 - 1.82) + abs(2 - 1.12)) / 4)


@given(LOGITS, LABELS)
def test_calibration_error_equals_a_loop_over_the_bins(logits, labels):
    confidence = softmax(logits, axis=1).max(axis=1) * 15
    logits, labels = (part[np.abs(confidence - confidence.round()) > 1e-9] for part in (logits, labels))
    if len(labels):
        assert expected_calibration_error(logits, labels) == pytest.approx(by_hand(logits, labels), abs=1e-12)


def test_a_model_that_is_as_right_as_it_is_sure_is_calibrated():
    assert expected_calibration_error(sure(*[0.75] * 4), [0, 0, 0, 1]) == pytest.approx(0.0, abs=1e-12)
    certain = np.array([[1000.0, 0.0], [0.0, 1000.0]])
    assert expected_calibration_error(certain, [0, 1]) == 0.0
    assert expected_calibration_error(certain, [1, 0]) == 1.0


def test_over_and_under_confidence_in_different_bins_do_not_cancel():
    over, under = sure(*[0.9] * 10), sure(*[0.6] * 10)
    labels = [0] * 6 + [1] * 4 + [0] * 9 + [1]  # 60 % right where 90 % sure, 90 % right where 60 % sure
    assert expected_calibration_error(np.concatenate([over, under]), labels) == pytest.approx(0.3)


def test_a_bin_is_closed_above():
    three = np.zeros((2, 3))  # exactly one third, the upper edge of the fifth bin
    assert expected_calibration_error(three, [0, 1]) == pytest.approx(0.5 - 1 / 3)
