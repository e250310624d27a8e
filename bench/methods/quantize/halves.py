"""A ternary network that becomes a binary one in training: each matrix is split in two, which train on alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.layers.composite import SumEmbedding, SumLinear
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.replacing import replace_everywhere
from bench.layers.summed import SummedEmbedding, SummedLinear
from bench.methods.quantize.aware import AwareTraining, train_aware
from bench.methods.quantize.site import DenseSite, EmbeddingSite, Site
from bench.methods.quantize.splitting import split
from bench.methods.quantize.training import prepared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.layers.input_rounding import InputRounding
    from bench.methods.quantize.grid import Coded
    from bench.methods.quantize.work import Work

BINARY_BITS = 1


class HalvedLinear(Site):
    """A linear layer of two matrices."""

    def __init__(self, site: DenseSite, linear: SummedLinear) -> None:
        weights: dict[str, Tensor] = {f"{site.name}.first": linear.first, f"{site.name}.second": linear.second}
        super().__init__(site.name, site.role, site.layer, weights)
        self.linear = linear
        self.multiplies = linear

    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        """See `Site`."""
        first, second = code(self.linear.first), code(self.linear.second)
        packed = SumLinear(
            LowBitLinear.from_codes(first.coding, first.codes, first.side, None),
            LowBitLinear.from_codes(second.coding, second.codes, second.side, self.linear.bias),
            inputs,
        )
        replace_everywhere(model, self.linear, packed)


class HalvedEmbedding(Site):
    """A table of two matrices in every embedding that has it, and in the softmax that is tied to it."""

    def __init__(self, site: EmbeddingSite, table: SummedEmbedding, tied: SummedLinear | None) -> None:
        weights: dict[str, Tensor] = {f"{site.name}.first": table.first, f"{site.name}.second": table.second}
        super().__init__(site.name, site.role, site.layer, weights)
        self.table = table
        self.tied = tied
        self.multiplies = tied

    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        """See `Site`; one packed pair of tables serves them all."""
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

    sites: list[Site]
    aware: AwareTraining


def trained_in_halves(
    work: Work,
    sites: Sequence[Site],
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
    method, model = work.method, work.model
    ternary = prepared(work, sites, bits, inputs)
    train_aware(method, model, work.lab, ternary, share=ternary_share)
    halves = [halved(model, site, ternary.coded) for site in sites]
    binary = replace(work, method=method.model_copy(update={"grid": "binary", "bits": BINARY_BITS}))
    places = [
        binary.place(half, weight, BINARY_BITS)
        for half in halves
        for weight in half.weights.values()
        if isinstance(weight, nn.Parameter)
    ]
    carried = {
        half.multiplies: ternary.inputs[site.multiplies]
        for half, site in zip(halves, sites, strict=True)
        if half.multiplies is not None and site.multiplies in ternary.inputs
    }
    aware = AwareTraining(places, carried)
    train_aware(method, model, work.lab, aware, share=1.0 - ternary_share)
    return Trained(halves, aware)


def halved(model: nn.Module, site: Site, code: Callable[[Tensor], Coded]) -> Site:
    """Put two latent float32 matrices in place of the one of a site, split in float64 by its ternary `code`."""
    if isinstance(site, DenseSite):
        linear = SummedLinear.of(*_halves(site.linear.weight, code), site.linear.bias)
        replace_everywhere(model, site.linear, linear)
        return HalvedLinear(site, linear)
    if not isinstance(site, EmbeddingSite):
        raise MethodError(f"quantize: {site.name} is factorized, and only whole matrices are split in two")
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
