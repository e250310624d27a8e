"""Functions of integers against the real functions that they stand for, at the bounds that I-BERT has."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch.nn import functional

from bench.base.errors import MethodError
from bench.layers.integer.arithmetic import (
    NORMALIZED_BITS,
    WEIGHTS,
    Requantize,
    _on_cuda,
    dyadic,
    exp_constants,
    exp_scale,
    gelu_constants,
    gelu_scale,
    half_up,
    i_exp,
    i_gelu,
    i_normalize,
    i_softmax,
    i_sqrt,
    integer_matmul,
    requantize,
)
from bench.layers.integer.layer import FINE_SCALE, WIDEST, IntegerNorm

OTHER_SCALE = 3.1e-4  # no power of two, and coarser


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def grid(first, last, scale):
    return torch.arange(math.ceil(first / scale), math.floor(last / scale) + 1)


@pytest.mark.parametrize("scale", [FINE_SCALE, OTHER_SCALE])
def test_gelu_is_within_the_papers_error_of_the_exact_one(scale):
    steps = grid(-4, 4, scale)
    found = i_gelu(steps, gelu_constants(scale)).double() * gelu_scale(scale)
    error = found - functional.gelu(steps.double() * scale)
    assert 0.0175 < error.abs().max() < 0.0185
    assert error.square().mean().sqrt().item() == pytest.approx(0.0082, abs=1e-4)


def test_gelu_of_large_inputs_is_the_input_or_zero_and_fits_in_32_bits():
    steps = torch.tensor([-(2**19), -30000, 30000, 2**19])
    found = i_gelu(steps, gelu_constants(FINE_SCALE))
    assert found.abs().max() < 2**31
    torch.testing.assert_close(
        found.double() * gelu_scale(FINE_SCALE), steps.clamp(min=0).double() * FINE_SCALE, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("scale", [FINE_SCALE, OTHER_SCALE, 2.0**-18])
def test_exp_is_within_the_error_of_the_papers_rounded_coefficients(scale):
    steps = -torch.arange(0, 200_000)
    found = i_exp(steps, exp_constants(scale)).double() * exp_scale(scale)
    assert 1.8e-3 < (found - torch.exp(steps * scale)).abs().max() < 2.2e-3


def test_exp_at_a_fine_scale_has_the_polynomials_own_error():
    steps = -torch.arange(0, 2**20)
    found = i_exp(steps, exp_constants(2.0**-20)).double() * exp_scale(2.0**-20)
    assert (found - torch.exp(steps * 2.0**-20)).abs().max().item() == pytest.approx(2.13e-3, abs=2e-5)


def test_exp_of_what_is_far_below_zero_is_zero_and_not_a_shift_beyond_the_bits():
    assert i_exp(torch.tensor([-(2**31) - 2**30, -(2**17)]), exp_constants(FINE_SCALE)).tolist() == [0, 0]


def test_sqrt_is_the_integer_square_root():
    draws = random.Random(0)
    numbers = [draws.randrange(2 ** draws.randrange(1, 63)) for _ in range(20_000)] + list(range(300)) + [2**62 - 1]
    roots = [draws.randrange(1, 2**31) for _ in range(2_000)]
    numbers += [root**2 + off for root in roots for off in (-1, 0, 1)]
    assert i_sqrt(torch.tensor(numbers)).tolist() == [math.isqrt(number) for number in numbers]


def test_softmax_is_within_two_steps_of_the_real_one_and_hidden_keys_get_nothing():
    scores = torch.round(normal(2, 3, 7, 9) * 3 / FINE_SCALE).long()
    seen = torch.ones(2, 1, 1, 9, dtype=torch.bool)
    seen[1, ..., 5:] = False
    found = i_softmax(scores, seen, exp_constants(FINE_SCALE))
    assert found.dtype == torch.uint8
    real = torch.softmax((scores * FINE_SCALE).masked_fill(~seen, -torch.inf), dim=-1)
    assert (found / WEIGHTS - real).abs().max() < 1.5 / WEIGHTS
    assert (found[1, ..., 5:] == 0).all()
    assert torch.equal(found[1, ..., :5], i_softmax(scores[1, ..., :5], None, exp_constants(FINE_SCALE)))


def test_softmax_of_a_row_without_any_key_is_zero():
    found = i_softmax(torch.ones(1, 4).long(), torch.zeros(1, 4, dtype=torch.bool), exp_constants(FINE_SCALE))
    assert found.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("width", [7, 384, WIDEST])
def test_normalizing_is_that_of_real_numbers(width):
    steps = torch.round(normal(5, width) * 2**18 + 2**17).long()
    found = i_normalize(steps, 0).double() * math.sqrt(width) / 2**NORMALIZED_BITS
    real = functional.layer_norm(steps.double(), (width,), eps=0.0)
    torch.testing.assert_close(found, real, rtol=0, atol=4 * math.sqrt(width) / 2**NORMALIZED_BITS)


def test_normalizing_the_largest_inputs_does_not_overflow():
    largest = 2**24 + 2**19
    steps = torch.full((1, WIDEST), largest).long()
    steps[:, ::2] *= -1
    found = i_normalize(steps, 0).double() * math.sqrt(WIDEST) / 2**NORMALIZED_BITS
    torch.testing.assert_close(found, steps.double() / largest, rtol=0, atol=1e-4)


def test_normalizing_equal_inputs_is_zero():
    assert (i_normalize(torch.full((2, 8), -12345), 0) == 0).all()


def test_a_norm_rounds_the_real_one_to_8_bits_and_follows_its_epsilon():
    norm = torch.nn.LayerNorm(48, eps=0.5)
    with torch.no_grad():
        norm.weight.copy_(normal(48, seed=1))
        norm.bias.copy_(normal(48, seed=2))
    given, wanted = 1e-4, 0.04
    steps = torch.round(normal(6, 48) / given).long()
    layer = IntegerNorm(48)
    layer.set(norm, given=given, wanted=wanted)
    found = layer(steps)
    real = norm((steps * given).float()) / wanted
    assert found.dtype == torch.int8
    assert (found - real.clamp(-127, 127)).abs().max() < 0.51


def test_a_norm_wider_than_its_sums_have_room_for_is_refused():
    with pytest.raises(MethodError, match="sums allow at most 4096"):
        IntegerNorm(WIDEST + 1)


def test_requantizing_is_the_exact_product_rounded():
    ratios = torch.tensor([0.731, -1.9e-4, 0.0, 17.3], dtype=torch.float64)
    values = torch.tensor([[2**31 - 1, -(2**31), 5, 99], [-7, 40_000, 1, -(2**20)]])
    multiplier, shift = dyadic(ratios)
    assert multiplier.dtype == torch.int32
    found = requantize(values, multiplier, shift, limit=2**40)
    exact = [
        [math.floor(v * m / 2 ** int(shift) + 0.5) for v, m in zip(row, multiplier.tolist(), strict=True)]
        for row in values.tolist()
    ]
    assert found.tolist() == exact
    # The largest ratio has 31 bits, one that is 2^17 smaller has 14.
    assert (found - values * ratios).abs().max() <= 1 + 2**31 * 17.3 / 2**31
    assert requantize(values, multiplier, shift, limit=127).abs().max() == 127


def test_halves_are_rounded_up():
    assert half_up(torch.tensor([-3, -2, -1, 0, 1, 2, 3]), 1).tolist() == [-1, -1, 0, 0, 1, 1, 2]


@pytest.mark.parametrize("ratio", [2.0**30, math.inf, math.nan])
def test_scales_too_far_apart_are_refused(ratio):
    with pytest.raises(MethodError, match="does not fit an integer multiplier"):
        Requantize().set(torch.tensor([ratio], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
@pytest.mark.parametrize("shapes", [((3, 5), (5, 7)), ((2, 3, 5), (5, 7)), ((2, 4, 3, 9), (2, 4, 9, 5))])
@pytest.mark.parametrize("product", [integer_matmul, _on_cuda], ids=["here", "as on CUDA"])
@pytest.mark.usefixtures("exact_int_mm")
def test_the_product_is_that_of_wide_integers(product, shapes, dtype):
    draws = torch.Generator().manual_seed(0)
    limits = torch.iinfo(dtype)
    left = torch.randint(limits.min, limits.max + 1, shapes[0], generator=draws, dtype=dtype)
    right = torch.randint(-127, 128, shapes[1], generator=draws, dtype=torch.int8)
    found = product(left, right)
    assert found.dtype == torch.int32
    assert torch.equal(found.long(), left.long() @ right.long())
