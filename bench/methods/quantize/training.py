"""What `quantize` trains and packs: the places of its sites, and the ranges of what they multiply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn

from bench.base.errors import MethodError
from bench.layers.input_rounding import InputRounding
from bench.methods.quantize.activations import activation_bounds
from bench.methods.quantize.aware import AwareTraining, train_aware
from bench.methods.quantize.input_ranges import LearnedInputs, MovingInputs
from bench.methods.quantize.latent import Place
from bench.methods.quantize.ranges.clip import Clip
from bench.methods.quantize.ranges.moving_average import MovingAverage
from bench.methods.quantize.site import FactorizedEmbeddingSite, FactorizedSite, Site

if TYPE_CHECKING:
    from bench.methods.quantize.modes.rounded_inputs import RoundedInputs
    from bench.methods.quantize.work import Work


def prepared(
    work: Work, sites: Sequence[Site], bits: Mapping[str, int], inputs: Mapping[nn.Module, InputRounding]
) -> AwareTraining:
    """What stands in front of the weights of `sites`, at `bits` by name, and of `inputs`; nothing is trained yet."""
    places: list[Place] = []
    for site in sites:
        for weight in site.weights.values():
            if not isinstance(weight, nn.Parameter):
                raise MethodError(f"quantize: {site.name} holds no parameter, so it cannot be trained")
            places.append(work.place(site, weight, bits[site.name]))
    return AwareTraining(places, inputs)


def trained(
    work: Work, sites: Sequence[Site], bits: Mapping[str, int], inputs: Mapping[nn.Module, InputRounding]
) -> AwareTraining:
    """`prepared`, and trained for the budget, if there is one."""
    aware = prepared(work, sites, bits, inputs)
    train_aware(work.method, work.model, work.lab, aware)
    return aware


def multiplied(sites: Sequence[Site]) -> dict[str, nn.Module]:
    """The linear layers of `sites` whose inputs can be rounded, by name; raises `MethodError` for factorized ones."""
    found: dict[str, nn.Module] = {}
    for site in sites:
        if isinstance(site, FactorizedSite | FactorizedEmbeddingSite):
            raise MethodError(
                f"quantize: {site.name} is factorized, and its inner activations cannot be rounded in training or over "
                "a range that stays. Give scheme 'weights' without activation_bits, or scheme 'dynamic' without a "
                "budget."
            )
        if site.multiplies is not None:
            found[site.name] = site.multiplies
    return found


def rounded_inputs(work: Work, sites: Sequence[Site], mode: RoundedInputs) -> dict[nn.Module, InputRounding]:
    """How what each site multiplies is rounded, by the arguments of the mode.

    Raises `MethodError` for a factorized layer whose inputs are to be rounded, or without training examples where
    ranges are found on them.
    """
    bits, grid, span = mode.activation_bits, mode.activation_grid, mode.activation_span
    if bits is None:
        return {}
    linears, chosen = multiplied(sites), work.activation_range
    if span != "fixed":
        clip = chosen.clip if isinstance(chosen, Clip) else None
        return {linear: InputRounding(bits, grid, span, clip) for linear in linears.values()}
    if chosen.learned:
        return {linear: LearnedInputs(bits) for linear in linears.values()}
    if isinstance(chosen, MovingAverage) and work.method.budget:
        return {linear: MovingInputs(bits, grid, momentum=chosen.activation_momentum) for linear in linears.values()}
    ends = activation_bounds(linears, work, bits=bits, grid=grid)
    return {linear: InputRounding.fixed(*ends[name], bits=bits, grid=grid) for name, linear in linears.items()}
