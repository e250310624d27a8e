"""Every operand of every product rounded: weights, inputs, queries, keys, values, probabilities, and both divisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bench.base.errors import MethodError
from bench.methods.quantize.mode import MODES
from bench.methods.quantize.modes.rounded_inputs import RoundedInputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from bench.methods.quantize.latent import Place
    from bench.methods.quantize.operands import Operands, OperandTraining
    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.site import Site
    from bench.methods.quantize.work import Work

_TOLD = {"activation_grid": "interval", "activation_span": "fixed", "activation_range": "moving-average"}


class AllOperands(RoundedInputs):
    """Packed weights, and fixed roundings before every product and around the divisions of softmax and layer norm.

    All matrices of the model are coded, its tables and its head with them; biases stay. Where no budget trains it,
    ranges are those of the first `examples` training examples. Products stay in float, so bytes are saved and no time.
    """

    delay: float = Field(0.0, ge=0, lt=1, description="share of the training before anything is rounded")

    def fits(self, method: Quantize) -> None:
        """See `Choice`."""
        from bench.methods.base.roles import ROLES

        if method.targets != ROLES:
            raise ValueError("scheme 'operands' codes every matrix of the model: leave targets out")
        found = {
            "activation_grid": self.activation_grid,
            "activation_span": self.activation_span,
            "activation_range": method.activation_range,
        }
        if self.activation_bits is None or found != _TOLD:
            told = ", ".join(f"{name} = '{value}'" for name, value in _TOLD.items())
            raise ValueError(f"scheme 'operands' rounds activations by one rule: give activation_bits, {told}")

    def apply(self, work: Work) -> None:
        """See `Mode`; raises `MethodError` where a product cannot be reached."""
        sites = every_site(work)
        bits = work.bits(sites)
        aware = self.trained(work, sites, bits)
        aware.operands.settle()
        for number, site in enumerate(sites, start=1):
            rounding = None if site.multiplies is None else aware.operands.inputs[site.multiplies].stored()
            site.put(work.model, aware.coded, rounding)
            work.lab.progress(f"{bits[site.name]} bits for {site.name}", number / len(sites))
        _refuse_unrounded(work)

    def trained(self, work: Work, sites: Sequence[Site], bits: Mapping[str, int]) -> OperandTraining:
        """The roundings of a model that has trained behind them, or, without a budget, only seen examples."""
        from bench.methods.quantize.aware import train_aware
        from bench.methods.quantize.operands import Operands, OperandTraining, pruned
        from bench.methods.quantize.ranges.moving_average import MovingAverage
        from bench.training.masks import MaskHook

        parameters = _parameters(sites)
        masks = pruned(parameters)
        chosen = work.activation_range
        if self.activation_bits is None or not isinstance(chosen, MovingAverage):
            raise MethodError("quantize: scheme 'operands' without activation_bits or with another range")
        operands = Operands(
            work.model,
            [site.multiplies for site in sites if site.multiplies is not None],
            bits=self.activation_bits,
            momentum=chosen.activation_momentum,
        )
        aware = OperandTraining(_places(work, sites, bits, masks), operands, delay=self.delay)
        if work.method.budget:
            train_aware(work.method, work.model, work.lab, aware, hooks=[MaskHook(parameters, masks)])
        else:
            _calibrate(work, operands)
        return aware


def every_site(work: Work) -> list[Site]:
    """All matrices: those with a role, the vocabulary's tables, and the maps and tables that are neither."""
    from bench.layers.factorized import FactorizedEmbedding, FactorizedLinear
    from bench.methods.quantize.site import EMBEDDING, find_sites, other_sites
    from bench.models.adapter import adapter_for

    model = work.model
    for name, module in model.named_modules():
        if isinstance(module, FactorizedLinear | FactorizedEmbedding):
            raise MethodError(f"quantize: {name} is factorized, and its inner activations have no range")
    sites = find_sites(model, [*adapter_for(model).roles_of(model), EMBEDDING])
    return [*sites, *other_sites(model, sites)]


def _parameters(sites: Sequence[Site]) -> dict[str, nn.Parameter]:
    from torch import nn

    found = {name: weight for site in sites for name, weight in site.weights.items()}
    return {name: weight for name, weight in found.items() if isinstance(weight, nn.Parameter)}


def _places(work: Work, sites: Sequence[Site], bits: Mapping[str, int], masks: Mapping[str, Tensor]) -> list[Place]:
    """The matrices as training sees them; one that was pruned gets a grid on which 0 is exact."""
    import dataclasses

    from bench.methods.quantize.grids.even import Affine

    places = []
    for site in sites:
        for name, weight in _parameters([site]).items():
            place = work.place(site, weight, bits[site.name])
            if name in masks and not place.quantizer.grid.keeps_zero:
                place = dataclasses.replace(place, quantizer=dataclasses.replace(place.quantizer, grid=Affine()))
            places.append(place)
    return places


def _calibrate(work: Work, operands: Operands) -> None:
    """Let the ranges follow the first `examples` training examples, in floats."""
    from bench.methods.base.listening import alike, run

    operands.switch(follows=True, rounds=False)
    with operands.open():
        for batch in alike(work.lab, examples=work.method.examples):
            run(work.model, batch)
    operands.switch(follows=False, rounds=True)


def _refuse_unrounded(work: Work) -> None:
    """Raise `MethodError` where a product of the finished model has an operand that went through no quantizer."""
    from bench.methods.base.listening import alike, run
    from bench.methods.quantize.products import executed_products

    batch = alike(work.lab, examples=2)[0]
    for product in executed_products(work.model, lambda: run(work.model, batch)):
        if not all(product.rounded):
            raise MethodError(
                f"quantize: '{product.operator}' in '{product.module or type(work.model).__name__}' takes a number "
                "that went through no quantizer, and scheme 'operands' promises that none does. Give scheme 'weights'."
            )


MODES.register("operands")(AllOperands)
