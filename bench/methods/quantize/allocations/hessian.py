"""More bits where the loss is curved more, under a budget (HAWQ)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bench.base.errors import MethodError
from bench.methods.base.method import Listed
from bench.methods.quantize.allocation import ALLOCATIONS, Allocation, told
from bench.methods.quantize.grid import GRIDS, check_widths

if TYPE_CHECKING:
    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.site import Site
    from bench.methods.quantize.work import Work


class Hessian(Allocation):
    """The layers with the largest |mean| + deviation of the top eigenvalue of the loss's Hessian get the more bits.

    The eigenvalue is that of largest magnitude of the layer's own block of the Hessian, by Lanczos's iteration on
    shards of the training data, which fails if it does not converge; mean and deviation are over shards (Q-BERT, Shen
    et al. 2020, arXiv:1909.05840, eq. 2, after HAWQ, Dong et al. 2019, arXiv:1905.03696). All layers begin with the
    fewest bits of `choices`; then, width by width, those of the largest curvature are raised for as long as the budget
    lasts, so that bits never rise while curvature falls. The paper chose by hand; this order is ours. Sites outside the
    layers, and roles with bits of their own, are told.
    """

    choices: Annotated[tuple[Annotated[int, Field(ge=1, le=8)], ...], Listed] = Field(
        (2, 3), min_length=1, description="the bits that a layer may get"
    )
    average_bits: float | None = Field(None, gt=0, le=8, description="most bits of a weight on average")
    size_share: float | None = Field(
        None, gt=0, lt=1, description="most bytes with scales and the like, as a share of 32-bit floats"
    )
    per: Literal["layer", "matrix"] = Field("layer", description="what gets bits as one")
    shards: int = Field(10, ge=2, description="shards of the examples, over which curvature is averaged")
    iterations: int = Field(
        20, ge=1, description="most restarts of Lanczos's iteration per shard and layer, of up to 20 products each"
    )

    def fits(self, method: Quantize) -> None:
        """See `Choice`."""
        check_widths(GRIDS.get(method.grid), method.grid, self.choices)
        budgets = [name for name in ("average_bits", "size_share") if getattr(self, name) is not None]
        if len(budgets) != 1:
            raise ValueError(
                f"allocation 'hessian' with {' and '.join(budgets) or 'no budget'}: it takes one of average_bits and "
                "size_share"
            )

    def seeded(self) -> bool:
        """See `Choice`; the search for eigenvalues starts from drawn vectors."""
        return True

    def bits(self, sites: Sequence[Site], work: Work) -> dict[str, int]:
        """See `Allocation`; the measured curvatures are told as progress."""
        from bench.methods.quantize.hessian import curvature

        told_bits = {site.name: told(site, work) for site in sites}
        chosen = [site for site in sites if site.layer and site.role not in work.method.role_bits]
        if not chosen:
            raise MethodError("quantize: allocation 'hessian' gives bits to layers, and no target is inside one")
        blocks: dict[str, list[Site]] = {}
        for site in chosen:
            blocks.setdefault(site.name if self.per == "matrix" else site.layer, []).append(site)
        weights = {
            name: [weight for site in inside for weight in site.weights.values()] for name, inside in blocks.items()
        }
        found = curvature(weights, work, shards=self.shards, iterations=self.iterations)
        costs = {
            name: {bits: self._cost(inside, bits, work) for bits in self.choices} for name, inside in blocks.items()
        }
        by_block = allocate({name: each.omega for name, each in found.items()}, costs, budget=self._budget(chosen))
        said = ", ".join(f"{name} {by_block[name]} bits (omega {each.omega:.3g})" for name, each in found.items())
        work.lab.progress(f"curvature: {said}", 1.0)
        return told_bits | {site.name: bits for name, bits in by_block.items() for site in blocks[name]}

    def _cost(self, sites: Sequence[Site], bits: int, work: Work) -> int:
        """Bits of the codes; with a budget of size, bits of the side data as well."""
        if self.average_bits is not None:
            return sum(site.count for site in sites) * bits
        coded = [work.coded(site, weight, bits).coding for site in sites for weight in site.weights.values()]
        return sum(8 * (coding.code_bytes + coding.side_bytes) for coding in coded)

    def _budget(self, sites: Sequence[Site]) -> float:
        count = sum(site.count for site in sites)
        return self.average_bits * count if self.average_bits is not None else (self.size_share or 0.0) * 32 * count


def allocate(omega: Mapping[str, float], costs: Mapping[str, Mapping[int, int]], *, budget: float) -> dict[str, int]:
    """Bits by block: never fewer for a block of larger `omega`, at a sum of `costs` within `budget`.

    Args:
        omega: curvature by block.
        costs: by block, what each width costs.
        budget: in the unit of the costs.

    Raises:
        MethodError: the fewest bits cost more than the budget.
    """
    order = sorted(omega, key=lambda name: omega[name], reverse=True)
    choices = sorted(next(iter(costs.values())))
    given = dict.fromkeys(order, choices[0])
    spent = sum(costs[name][choices[0]] for name in order)
    if spent > budget:
        raise MethodError(
            f"quantize: {choices[0]} bits everywhere cost {spent:,.0f} and the budget is {budget:,.0f}. Raise the "
            "budget or offer fewer bits in `choices`."
        )
    for fewer, more in itertools.pairwise(choices):
        for name in order:
            rise = costs[name][more] - costs[name][fewer]
            if given[name] != fewer or spent + rise > budget:
                return given
            given[name], spent = more, spent + rise
    return given


ALLOCATIONS.register("hessian")(Hessian)
