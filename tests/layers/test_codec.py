"""Tensor encodings: bit-exact, and never larger than dense."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.artifacts.codec import ENTRY_BYTES, decode, encode
from bench.base.errors import ArtifactError

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool]


def size(parts):
    return sum(part.numel() * part.element_size() for part in parts.values())


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def sparse(count, density, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(count, generator=generator) < density
    return torch.where(keep, torch.randn(count, generator=generator) * 50 + 1, torch.zeros(())).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("density", [0, 0.004, 0.1, 0.5, 0.99, 1])
def test_decoding_gives_back_every_bit(dtype, density):
    tensor = sparse(5003, density, dtype).reshape(-1)[:5000].reshape(50, 100)
    form, parts = encode(tensor)
    again = decode(form, parts.__getitem__, where="t")
    assert again.dtype == tensor.dtype
    assert again.shape == tensor.shape
    assert torch.equal(bits(again), bits(tensor))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.5, float("inf"), float("nan"), 1e-45]), max_size=40), st.integers(0, 3000)
)
def test_negative_zero_infinity_nan_and_subnormals_survive(values, zeros):
    tensor = torch.tensor([*values, *[0.0] * zeros, *values])
    form, parts = encode(tensor)
    again = decode(form, parts.__getitem__, where="t")
    assert torch.equal(bits(again), bits(tensor))
    assert size(parts) + (ENTRY_BYTES if form else 0) <= size({"": tensor})


@pytest.mark.parametrize(
    ("density", "encoding"), [(1, None), (0.999, None), (0.9, "bitmask"), (0.1, "bitmask"), (0.01, "indices")]
)
def test_the_smallest_encoding_is_chosen_and_has_the_size_of_its_definition(density, encoding):
    tensor = sparse(100_000, density)
    kept = int((tensor != 0).sum())
    form, parts = encode(tensor)
    expected = {None: 400_000, "bitmask": 12_500 + 4 * kept, "indices": 8 * kept}
    assert (form and form["encoding"]) == encoding
    assert size(parts) == expected[encoding]
    assert expected[encoding] <= min(expected.values()) + ENTRY_BYTES


def test_a_view_is_stored_without_the_memory_around_it():
    base = torch.arange(100.0)
    _, parts = encode(base[10:20])
    assert parts[""].untyped_storage().nbytes() == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "zip"}, "unknown encoding 'zip'"),
        ({"dtype": "float16"}, "expected float16"),
        ({"shape": [10, 10]}, "a mask of"),
        ({"shape": [100, 97]}, "do not fit"),
    ],
)
def test_parts_that_do_not_fit_are_artifact_errors(change, message):
    tensor = sparse(9703, 0.3)
    tensor[-3:] = 1.0
    form, parts = encode(tensor)
    with pytest.raises(ArtifactError, match=message):
        decode({**form, **change}, parts.__getitem__, where="t")


def test_an_index_outside_the_tensor_is_an_artifact_error():
    form, parts = encode(sparse(10_000, 0.01))
    parts["indices"] = torch.from_numpy(np.where(parts["indices"] == parts["indices"].max(), 10_000, parts["indices"]))
    with pytest.raises(ArtifactError, match="do not fit"):
        decode(form, parts.__getitem__, where="t")
