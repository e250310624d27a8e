"""Ternary weight splitting: a ternary network becomes a binary one in training, two matrices for one (BinaryBERT)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.cells import Cells
from bench.layers.composite import SumEmbedding, SumLinear
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.sharing import replace_everywhere
from bench.layers.summed import SummedEmbedding, SummedLinear
from bench.methods.quantize.aware import AwareTraining, prepared, train_aware
from bench.methods.quantize.grids import Binary
from bench.methods.quantize.site import DenseSite, TableSite, WeightSite

if TYPE_CHECKING:
    from bench.layers.input_rounding import InputRounding
    from bench.methods.quantize.grid import Coded
    from bench.methods.quantize.work import Quantization

BINARY_BITS = 1


class HalvedLinear(WeightSite):
    """A linear layer of two matrices."""

    def __init__(self, site: DenseSite, linear: SummedLinear) -> None:
        weights: dict[str, Tensor] = {f"{site.name}.first": linear.first, f"{site.name}.second": linear.second}
        super().__init__(site.name, site.role, site.layer, weights)
        self.linear = linear
        self.multiplies = linear

    @override
    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        first, second = code(self.linear.first), code(self.linear.second)
        packed = SumLinear(
            LowBitLinear.from_codes(first.coding, first.codes, first.side, None),
            LowBitLinear.from_codes(second.coding, second.codes, second.side, self.linear.bias),
            inputs,
        )
        replace_everywhere(model, self.linear, packed)


class HalvedEmbedding(WeightSite):
    """A table of two matrices in every embedding that has it, and in the softmax that is tied to it."""

    def __init__(self, site: TableSite, table: SummedEmbedding, tied: SummedLinear | None) -> None:
        weights: dict[str, Tensor] = {f"{site.name}.first": table.first, f"{site.name}.second": table.second}
        super().__init__(site.name, site.role, site.layer, weights)
        self.table = table
        self.tied = tied
        self.multiplies = tied

    @override
    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        """One packed pair of tables serves them all."""
        first, second = code(self.table.first), code(self.table.second)
        packed = SumEmbedding(
            LowBitEmbedding.from_codes(first.coding, first.codes, first.side),
            LowBitEmbedding.from_codes(second.coding, second.codes, second.side),
        )
        if self.tied is not None:
            replace_everywhere(model, self.tied, packed.softmax(self.tied.bias, inputs))
        replace_everywhere(model, self.table, packed)


class Trained(NamedTuple):
    """The sites of two matrices each, and what stands in front of them."""

    sites: list[WeightSite]
    aware: AwareTraining


def trained_in_halves(
    work: Quantization,
    sites: Sequence[WeightSite],
    bits: Mapping[str, int],
    inputs: Mapping[nn.Module, InputRounding],
    *,
    ternary_share: float,
) -> Trained:
    """Train ternary weights for `ternary_share` of the budget, split them, and train binary ones for the rest.

    As in BinaryBERT (Bai et al. 2021, arXiv:2012.15701), ranges of inputs are carried over. A layer keeps one bias,
    which is the sum of the two halves of it that the public code trains.

    Raises `MethodError` for a factorized layer.
    """
    method, model = work.training, work.model
    ternary = prepared(work, sites, bits, inputs)
    train_aware(method, model, work.lab, ternary, share=ternary_share)
    halves = [halved(model, site, ternary.coded) for site in sites]
    grid = Binary()
    binary = replace(
        work,
        quantizer=replace(work.quantizer, grid=grid),
        embedding_quantizer=replace(work.embedding_quantizer, grid=grid),
    )
    matrices = [
        binary.rounded(half, weight, BINARY_BITS)
        for half in halves
        for weight in half.weights.values()
        if isinstance(weight, nn.Parameter)
    ]
    carried = {
        half.multiplies: ternary.inputs[site.multiplies]
        for half, site in zip(halves, sites, strict=True)
        if half.multiplies is not None and site.multiplies in ternary.inputs
    }
    aware = AwareTraining(matrices, carried)
    train_aware(method, model, work.lab, aware, share=1.0 - ternary_share)
    return Trained(halves, aware)


def halved(model: nn.Module, site: WeightSite, code: Callable[[Tensor], Coded]) -> WeightSite:
    """Put two latent float32 matrices in place of the one of a site, split in float64 by its ternary `code`."""
    if isinstance(site, DenseSite):
        linear = SummedLinear.of(*_halves(site.linear.weight, code), site.linear.bias)
        replace_everywhere(model, site.linear, linear)
        return HalvedLinear(site, linear)
    if not isinstance(site, TableSite):
        raise MethodError(f"quantize: {site.name} is factorized, but only whole matrices can be split in two")
    first, second = _halves(site.embeddings[0].weight, code)
    table = SummedEmbedding.of(first, second, padding_idx=site.embeddings[0].padding_idx)
    tied = None if site.tied is None else SummedLinear.of(first, second, site.tied.bias)
    if site.tied is not None and tied is not None:
        replace_everywhere(model, site.tied, tied)
    for embedding in site.embeddings:
        replace_everywhere(model, embedding, table)
    return HalvedEmbedding(site, table, tied)


def _halves(weight: Tensor, code: Callable[[Tensor], Coded]) -> tuple[nn.Parameter, nn.Parameter]:
    coded = code(weight)
    first, second = split(weight, coded.values() != 0, coded.coding.cells)
    return nn.Parameter(first.to(weight.dtype)), nn.Parameter(second.to(weight.dtype))


class Halves(NamedTuple):
    """Two float64 matrices [rows, columns] with `first` + `second` = the weight that was split."""

    first: Tensor
    second: Tensor


def split(weight: Tensor, kept: Tensor, cells: Cells) -> Halves:
    """Two latent matrices whose binary forms, added, are the ternary form of `weight`, in float64.

    With I the weights that ternarization keeps, a_t their mean magnitude, J and K those that become zero and are above
    0 or not, and n the weights of a cell (Bai et al. 2021, arXiv:2012.15701):

        first = a w in I, w + b in J, b in K;  second = (1 - a) w in I, -b in J, w - b in K
        b = (n a_t - sum |w|) / (2 (|J| + |K|));  a = (sum_I |w| + sum_K |w| - sum_J |w|) / (2 sum_I |w|)

    so that mean |first| = mean |second| = a_t / 2, which is the scale of both binary forms, with equal signs in I and
    opposite ones elsewhere. That needs 0 < a < 1. In a cell where the sums of J and K differ by more than that of I,
    its zeros go to J and K in turn by rising magnitude, whatever their sign.

    Args:
        weight: [rows, columns].
        kept: bool, where its ternary form is not zero: those of a cell above a share of its mean magnitude.
        cells: what has one scale.
    """
    values = weight.detach().double()
    magnitude, sign = values.abs(), torch.where(values > 0, 1.0, -1.0).double()
    zeros = ~kept

    def total(numbers: Tensor) -> Tensor:
        return cells.reduce(numbers.double(), "sum")

    inner, count = total(magnitude * kept), total(kept)
    scale = inner / count.clamp_min(1)
    shift = (total(torch.ones_like(values)) * scale - total(magnitude)) / (2 * total(zeros).clamp_min(1))
    added = cells.whole(shift) * sign
    left = _left(values, zeros, inner, cells)
    surplus = total(magnitude * (zeros & ~left)) - total(magnitude * (zeros & left))
    share = cells.whole((1 + surplus / inner.masked_fill(inner == 0, 1.0)) / 2)
    first = torch.where(kept, share * values, torch.where(left, values + added, -added))
    second = torch.where(kept, (1 - share) * values, torch.where(left, -added, values + added))
    return Halves(first, second)


def _left(values: Tensor, zeros: Tensor, inner: Tensor, cells: Cells) -> Tensor:
    """Which zeros are in J: those above 0, or every second one of the cells where that leaves no share to divide."""
    left = values > 0
    surplus = cells.reduce(values.where(zeros, values.new_zeros(())), "sum")
    rows = cells.group_of(torch.arange(cells.rows, device=values.device))
    for group, bucket in ((surplus.abs() >= inner) & (inner > 0)).nonzero().tolist():
        lines = (rows == group).nonzero()  # [n, 1]
        start = bucket * cells.bucket
        columns = torch.arange(start, min(start + cells.bucket, cells.columns), device=values.device)
        magnitude = values[lines, columns].abs().masked_fill(~zeros[lines, columns], torch.inf)
        ranks = magnitude.flatten().argsort(stable=True).argsort()
        left[lines, columns] = (ranks % 2 == 0).view_as(magnitude)
    return left
