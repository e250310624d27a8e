"""Weights alone, packed in a few bits; products stay in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.quantize.mode import MODES
from bench.methods.quantize.modes.rounded_inputs import RoundedInputs
from bench.methods.quantize.range import RANGES
from bench.methods.quantize.ranges.moving_average import MovingAverage

if TYPE_CHECKING:
    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.work import Work


class Weights(RoundedInputs):
    """Packed weights that are turned into floats a tile at a time: bytes are saved on disk and in memory, not time.

    With `activation_bits` what they multiply is rounded as well, and the products stay in float.
    """

    rest: bool = Field(False, description="code the maps and tables without a role too: pooler, head, positions")
    split: bool = Field(
        False, description="ternary weights become two binary matrices in the midst of training (BinaryBERT)"
    )
    ternary_share: float = Field(0.5, gt=0, lt=1, description="split: share of the budget before the split")

    def fits(self, method: Quantize) -> None:
        """See `Choice`."""
        chosen = RANGES.get(method.activation_range)
        if self.activation_bits is None:
            if issubclass(chosen, MovingAverage) or chosen.learned or self.activation_span != "call":
                raise ValueError("ranges of activations are given and activation_bits is not: how many bits have they?")
        elif self.activation_span != "fixed" and method.activation_range not in ("min-max", "clip"):
            raise ValueError(
                f"activation_range '{method.activation_range}' stays as it was found: give activation_span 'fixed', "
                f"found '{self.activation_span}'"
            )
        if self.split and (method.grid, method.allocation) != ("ternary", "constant"):
            raise ValueError("split is for scheme 'weights' with grid 'ternary' and a constant allocation")
        super().fits(method)

    def apply(self, work: Work) -> None:
        """See `Mode`."""
        from bench.methods.quantize.halves import BINARY_BITS, trained_in_halves
        from bench.methods.quantize.site import find_sites, other_sites
        from bench.methods.quantize.training import rounded_inputs, trained

        sites = find_sites(work.model, work.method.targets)
        sites += other_sites(work.model, sites) if self.rest else []
        bits = work.bits(sites)
        inputs = rounded_inputs(work, sites, self)
        if self.split:
            sites, aware = trained_in_halves(work, sites, bits, inputs, ternary_share=self.ternary_share)
            bits = {site.name: BINARY_BITS for site in sites}
        else:
            aware = trained(work, sites, bits, inputs)
        for number, site in enumerate(sites, start=1):
            rounding = None if site.multiplies is None else aware.inputs.get(site.multiplies)
            site.put(work.model, aware.coded, None if rounding is None else rounding.stored())
            work.lab.progress(f"{bits[site.name]} bits for {site.name}", number / len(sites))


MODES.register("weights")(Weights)
