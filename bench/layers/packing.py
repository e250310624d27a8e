"""Storing integer codes of 1 to 8 bits as a dense stream of bits, bit for bit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.base.errors import MethodError

MOST_BITS = 8
_GROUP = 8  # this many codes end on a whole byte, whatever their width


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of `count` codes of `bits` bits: ceil(count * bits / 8)."""
    return (count * bits + 7) // 8


def pack(codes: Tensor, bits: int) -> Tensor:
    """Codes [..., n] as bytes uint8 [..., ceil(n * bits / 8)]; the first code takes the lowest bits of the first byte.

    The last byte of each row is filled up with zero bits. `unpack` gives the codes back exactly.

    Args:
        codes: integers in [0, 2^bits).
        bits: 1 to 8.

    Raises:
        MethodError: a width out of range, or a code that does not fit into it.
    """
    _check_width(bits)
    count = codes.shape[-1]
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < 2**bits:
        raise MethodError(f"codes from {int(codes.min())} to {int(codes.max())} do not fit into {bits} bits")
    if bits == MOST_BITS:
        return codes.to(torch.uint8).contiguous()
    padded = functional.pad(codes.to(torch.uint8), (0, -count % _GROUP))
    groups = _in_runs(padded, _GROUP).long()  # [..., groups, 8]
    words = (groups << _steps(_GROUP, bits, codes.device)).sum(dim=-1, keepdim=True)  # bits do not overlap
    stream = (words >> _steps(bits, 8, codes.device)) & 255  # [..., groups, bits]
    return stream.to(torch.uint8).flatten(-2)[..., : packed_bytes(count, bits)].contiguous()


def unpack(stream: Tensor, bits: int, count: int) -> Tensor:
    """The codes uint8 [..., count] of bytes uint8 [..., ceil(count * bits / 8)] that `pack` made.

    Raises `MethodError` for a width out of range, or bytes that are not those of `count` codes.
    """
    _check_width(bits)
    if stream.shape[-1] != packed_bytes(count, bits):
        raise MethodError(f"{stream.shape[-1]} bytes are not those of {count} codes of {bits} bits")
    if bits == MOST_BITS:
        return stream
    if _GROUP % bits == 0:  # a byte holds whole codes, so that bytes are all the memory this takes
        shifts = _steps(_GROUP // bits, bits, stream.device).to(torch.uint8)
        whole: Tensor = (stream.unsqueeze(-1) >> shifts) & (2**bits - 1)
        return whole.flatten(-2)[..., :count]
    wide = torch.int32 if bits == 3 else torch.int64  # 8 codes of 3 bits are 24
    padded = _in_runs(functional.pad(stream, (0, -stream.shape[-1] % bits)), bits).to(wide)
    words = (padded << _steps(bits, 8, stream.device).to(wide)).sum(dim=-1, keepdim=True, dtype=wide)
    codes: Tensor = (words >> _steps(_GROUP, bits, stream.device).to(wide)) & (2**bits - 1)
    return codes.to(torch.uint8).flatten(-2)[..., :count]


def _in_runs(values: Tensor, length: int) -> Tensor:
    """[..., n * length] as [..., n, length]."""
    return values.reshape(*values.shape[:-1], values.shape[-1] // length, length)


def _steps(count: int, step: int, device: torch.device) -> Tensor:
    return torch.arange(count, device=device) * step


def _check_width(bits: int) -> None:
    if not 1 <= bits <= MOST_BITS:
        raise MethodError(f"codes of {bits} bits cannot be packed; give 1 to {MOST_BITS}")
