"""Packing codes into bits: exact for every width, and as small as it says."""

from __future__ import annotations

import pytest
import torch

from bench.base.errors import MethodError
from bench.layers.coding import pack, packed_bytes, unpack

BITS = range(1, 9)


def codes(*shape, bits, seed=0):
    return torch.randint(0, 2**bits, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("count", [0, 1, 3, 7, 8, 9, 64, 101])
def test_unpacking_gives_every_code_back(bits, count):
    given = codes(5, count, bits=bits)
    stream = pack(given, bits)
    assert stream.dtype == torch.uint8
    assert stream.shape == (5, packed_bytes(count, bits)) == (5, -(-count * bits // 8))
    assert torch.equal(unpack(stream, bits, count), given)


@pytest.mark.parametrize("bits", BITS)
def test_the_stream_is_the_codes_bits_one_after_another(bits):
    given = codes(13, bits=bits, seed=1)
    whole = sum(int(code) << (bits * place) for place, code in enumerate(given))
    assert bytes(pack(given, bits).tolist()) == whole.to_bytes(packed_bytes(13, bits), "little")


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_codes_of_zero_are_bytes_of_zero(bits):
    assert not pack(torch.zeros(2, 40, dtype=torch.uint8), bits).any()


def test_codes_that_do_not_fit_are_refused():
    with pytest.raises(MethodError, match="from 0 to 8 do not fit into 3 bits"):
        pack(torch.tensor([0, 8]), 3)
    with pytest.raises(MethodError, match="from -1 to 1 do not fit"):
        pack(torch.tensor([-1, 1]), 2)


@pytest.mark.parametrize("bits", [0, 9])
def test_widths_out_of_range_are_refused(bits):
    with pytest.raises(MethodError, match=f"codes of {bits} bits cannot be packed"):
        pack(torch.zeros(4), bits)
    with pytest.raises(MethodError, match=f"codes of {bits} bits cannot be packed"):
        unpack(torch.zeros(4, dtype=torch.uint8), bits, 4)


def test_bytes_of_another_length_are_refused():
    with pytest.raises(MethodError, match="3 bytes are not those of 9 codes of 3 bits"):
        unpack(torch.zeros(3, dtype=torch.uint8), 3, 9)
