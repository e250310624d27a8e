"""Bits that are given beforehand, for all matrices or by role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.methods.quantize.allocation import ALLOCATIONS, Allocation, told

if TYPE_CHECKING:
    from bench.methods.quantize.site import Site
    from bench.methods.quantize.work import Work


class Constant(Allocation):
    """What `role_bits` says of a role, and `bits` for the others."""

    def bits(self, sites: Sequence[Site], work: Work) -> dict[str, int]:
        """See `Allocation`."""
        return {site.name: told(site, work) for site in sites}


ALLOCATIONS.register("constant")(Constant)
