"""What a bit allocation is: how many bits each matrix gets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.base.registry import Registry
from bench.methods.base.choice import Choice

if TYPE_CHECKING:
    from bench.methods.quantize.site import Site
    from bench.methods.quantize.work import Work


class Allocation(Choice):
    """Gives bits to sites; fields are its arguments."""

    @abstractmethod
    def bits(self, sites: Sequence[Site], work: Work) -> dict[str, int]:
        """Bits of a weight by the site's name; the model is left as it was.

        Raises `MethodError` where no allocation keeps the budget that was asked for.
        """


ALLOCATIONS: Registry[type[Allocation]] = Registry(
    "bit allocation",
    modules=(
        "bench.methods.quantize.allocations.constant",
        "bench.methods.quantize.allocations.hessian",
    ),
    group="bench.allocations",
)


def told(site: Site, work: Work) -> int:
    """The bits that the stage was told for a site: by its role, else those of all."""
    return work.method.role_bits.get(site.role, work.method.bits)
