"""Weights alone, packed in a few bits; products stay in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.quantizing.allocation import ALLOCATIONS
from bench.methods.quantizing.mode import MODES, Mode

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.quantize import Quantize
    from bench.methods.quantizing.grid import Coded
    from bench.methods.quantizing.site import Site
    from bench.methods.quantizing.work import Work


class Weights(Mode):
    """Packed weights that are turned into floats a tile at a time: bytes are saved on disk and in memory, not time."""

    def refuses(self, method: Quantize) -> str | None:
        """See `Mode`."""
        return None

    def apply(self, work: Work) -> None:
        """See `Mode`."""
        from bench.methods.quantizing.site import find_sites

        sites = find_sites(work.model, work.method.targets)
        bits = ALLOCATIONS.get(work.method.allocation).bits(sites, work)
        for number, site in enumerate(sites, start=1):

            def code(weight: Tensor, site: Site = site) -> Coded:
                return work.coded(site, weight, bits[site.name])

            site.put(work.model, code)
            work.lab.progress(f"{bits[site.name]} bits for {site.name}", number / len(sites))


MODES.register("weights")(Weights())
