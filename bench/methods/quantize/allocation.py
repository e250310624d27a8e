"""Bit allocations: how many bits each matrix gets, by a rule or by what was given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.methods.quantize.site import WeightSite
    from bench.methods.quantize.work import Quantization


class Allocation(Choice):
    """Gives bits to sites; fields are its arguments."""

    @abstractmethod
    def bits(self, sites: Sequence[WeightSite], work: Quantization) -> dict[str, int]:
        """Bits per weight, by the site's name; the model is not changed.

        Raises `MethodError` if no allocation keeps the budget that was asked for.
        """


ALLOCATIONS: Choices[Allocation] = Choices(
    "bit allocation",
    modules=("bench.methods.quantize.hessian",),
    group="bench.allocations",
)


@ALLOCATIONS.register("constant")
class Constant(Allocation):
    """The bits in `role_bits` for its roles, and `bits` for all others."""

    @override
    def bits(self, sites: Sequence[WeightSite], work: Quantization) -> dict[str, int]:
        return {site.name: work.bits_of(site) for site in sites}
