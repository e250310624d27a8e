"""What integer codes and their side data stand for, and how codes are packed into bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from bench.base.errors import MethodError
from bench.layers.cells import Cells

Form = Literal["steps", "signs", "shifts", "affine", "interval", "codebook"]
SideData = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Coding:
    """A matrix as codes of `bits` bits with side data for each cell; what a code c of a cell stands for is its form.

    `steps`: scale * c in two's complement, so that a weight of zero is a code of zero bits. `signs`: scale * (2 c - 1).
    `shifts`: 2^exponent * c in two's complement. `affine`: scale * (c - zero). `interval`: low + scale * c.
    `codebook`: entry c of the cell's book. Outliers are elements that are stored beside the codes in full, by their
    place in the flat matrix, in rising order.
    """

    form: Form
    bits: int
    cells: Cells
    outliers: int = 0

    def shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shape and dtype of every tensor of side data by name."""
        one = self.cells.shape
        of_form: dict[Form, dict[str, tuple[tuple[int, ...], torch.dtype]]] = {
            "steps": {"scale": (one, torch.float32)},
            "signs": {"scale": (one, torch.float32)},
            "shifts": {"exponent": (one, torch.int8)},
            "affine": {"scale": (one, torch.float32), "zero": (one, torch.uint8)},
            "interval": {"scale": (one, torch.float32), "low": (one, torch.float32)},
            "codebook": {"codebook": ((*one, 2**self.bits), torch.float32)},
        }
        found = dict(of_form[self.form])
        if self.outliers:
            found |= {"outlier_places": ((self.outliers,), torch.int32)}
            found |= {"outlier_values": ((self.outliers,), torch.float32)}
        return found

    @property
    def code_bytes(self) -> int:
        """Bytes of the packed codes: rows * ceil(columns * bits / 8)."""
        return self.cells.rows * packed_bytes(self.cells.columns, self.bits)

    @property
    def side_bytes(self) -> int:
        """Bytes of the side data."""
        return sum(torch.Size(shape).numel() * dtype.itemsize for shape, dtype in self.shapes().values())

    def arguments(self) -> dict[str, Any]:
        """The coding without the matrix's own shape, as JSON values."""
        return {
            "form": self.form,
            "bits": self.bits,
            "groups": self.cells.groups,
            "bucket": self.cells.bucket,
            "outliers": self.outliers,
        }

    def decode(self, codes: Tensor, side: SideData, rows: Tensor) -> Tensor:
        """The numbers float32 [n, columns] of `codes` uint8 [n, columns], which are the matrix's `rows` [n]."""
        values = self._inliers(codes, side, rows)
        if self.outliers:
            line, column, value = self._outliers(side, rows)
            values[line, column] = value
        return values

    def whole(self, codes: Tensor, side: SideData) -> Tensor:
        """`decode` for every row of the matrix."""
        return self.decode(codes, side, torch.arange(self.cells.rows, device=codes.device))

    def _inliers(self, codes: Tensor, side: SideData, rows: Tensor) -> Tensor:
        if self.form == "codebook":
            return self._looked_up(codes, side["codebook"], rows)
        if self.form == "shifts":
            one = torch.ones_like(side["exponent"], dtype=torch.float32)
            return self._signed(codes).mul_(self.cells.expand(torch.ldexp(one, side["exponent"]), rows))
        scale = self.cells.expand(side["scale"], rows)
        if self.form == "steps":
            return self._signed(codes).mul_(scale)
        if self.form == "signs":
            return codes.float().mul_(2).sub_(1).mul_(scale)
        if self.form == "affine":
            return codes.float().sub_(self.cells.expand(side["zero"], rows)).mul_(scale)
        return codes.float().mul_(scale).add_(self.cells.expand(side["low"], rows))

    def _signed(self, codes: Tensor) -> Tensor:
        """Codes in two's complement as numbers in [-2^(bits-1), 2^(bits-1))."""
        top = 1 << (self.bits - 1)
        return (codes ^ top).float().sub_(top)

    def _looked_up(self, codes: Tensor, book: Tensor, rows: Tensor) -> Tensor:
        flat = book.reshape(-1)
        places = codes.int()
        if self.cells.groups * self.cells.buckets > 1:
            first = torch.arange(0, flat.numel(), 2**self.bits, dtype=torch.int32, device=codes.device)
            places = places + self.cells.expand(first.view(self.cells.shape), rows)
        return flat.index_select(0, places.view(-1)).view(codes.shape)

    def _outliers(self, side: SideData, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each outlier in `rows`: its line among them, its column, and its value."""
        places, columns = side["outlier_places"].long(), self.cells.columns
        first = torch.searchsorted(places, rows * columns)
        counts = torch.searchsorted(places, (rows + 1) * columns) - first
        line = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), counts)
        before = counts.cumsum(0) - counts
        index = torch.arange(len(line), device=rows.device) - before[line] + first[line]
        return line, places[index] % columns, side["outlier_values"][index]


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
