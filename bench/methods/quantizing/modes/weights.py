"""Weights alone, packed in a few bits; products stay in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.quantizing.allocation import ALLOCATIONS
from bench.methods.quantizing.mode import MODES, Mode
from bench.methods.quantizing.range import RANGES

if TYPE_CHECKING:
    from bench.methods.quantize import Quantize
    from bench.methods.quantizing.work import Work


class Weights(Mode):
    """Packed weights that are turned into floats a tile at a time: bytes are saved on disk and in memory, not time.

    With `activation_bits` what they multiply is rounded as well, and the products stay in float.
    """

    def refuses(self, method: Quantize) -> str | None:
        """See `Mode`."""
        chosen = RANGES.get(method.activation_range)
        if method.activation_bits is None:
            if chosen.moving or chosen.learned or method.activation_span != "call":
                return "ranges of activations are given and activation_bits is not: how many bits have they?"
            return None
        if method.activation_span != "fixed" and method.activation_range not in ("min-max", "clip"):
            return (
                f"activation_range '{method.activation_range}' stays as it was found: give activation_span 'fixed', "
                f"found '{method.activation_span}'"
            )
        return None

    def apply(self, work: Work) -> None:
        """See `Mode`."""
        from bench.methods.quantizing.halves import BINARY_BITS, trained_in_halves
        from bench.methods.quantizing.site import find_sites, other_sites
        from bench.methods.quantizing.training import trained

        sites = find_sites(work.model, work.method.targets)
        sites += other_sites(work.model, sites) if work.method.rest else []
        bits = ALLOCATIONS.get(work.method.allocation).bits(sites, work)
        if work.method.split:
            sites, aware = trained_in_halves(work, sites, bits)
            bits = {site.name: BINARY_BITS for site in sites}
        else:
            aware = trained(work, sites, bits)
        for number, site in enumerate(sites, start=1):
            rounding = None if site.multiplies is None else aware.inputs.get(site.multiplies)
            site.put(work.model, aware.coded, None if rounding is None else rounding.stored())
            work.lab.progress(f"{bits[site.name]} bits for {site.name}", number / len(sites))


MODES.register("weights")(Weights())
