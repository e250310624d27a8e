"""More bits where the loss is curved more, under a budget (HAWQ)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.errors import MethodError
from bench.methods.quantizing.allocation import ALLOCATIONS, Allocation, told

if TYPE_CHECKING:
    from bench.methods.quantizing.site import Site
    from bench.methods.quantizing.work import Work


class Hessian(Allocation):
    """The layers with the largest |mean| + deviation of the top eigenvalue of the loss's Hessian get the more bits.

    The eigenvalue is that of the layer's own block of the Hessian, by power iteration on shards of the training data,
    mean and deviation over shards (Q-BERT, Shen et al. 2020, arXiv:1909.05840, eq. 2, after HAWQ, Dong et al. 2019,
    arXiv:1905.03696). All layers begin with the fewest bits of `choices`; then, width by width, those of the
    largest curvature are raised for as long as the budget lasts, so that bits never rise while curvature falls. The
    paper chose by hand; this order is ours. Sites outside the layers, and roles with bits of their own, are told.
    """

    def bits(self, sites: Sequence[Site], work: Work) -> dict[str, int]:
        """See `Allocation`; the measured curvatures are told as progress."""
        from bench.methods.quantizing.hessian import curvature

        told_bits = {site.name: told(site, work) for site in sites}
        chosen = [site for site in sites if site.layer and site.role not in work.method.role_bits]
        if not chosen:
            raise MethodError("quantize: allocation 'hessian' gives bits to layers, and no target is inside one")
        blocks: dict[str, list[Site]] = {}
        for site in chosen:
            blocks.setdefault(site.name if work.method.per == "matrix" else site.layer, []).append(site)
        weights = {
            name: [weight for site in inside for weight in site.weights.values()] for name, inside in blocks.items()
        }
        found = curvature(weights, work)
        costs = {
            name: {bits: _cost(inside, bits, work) for bits in work.method.choices} for name, inside in blocks.items()
        }
        by_block = allocate({name: each.omega for name, each in found.items()}, costs, budget=_budget(chosen, work))
        said = ", ".join(f"{name} {by_block[name]} bits (omega {each.omega:.3g})" for name, each in found.items())
        work.lab.progress(f"curvature: {said}", 1.0)
        return told_bits | {site.name: bits for name, bits in by_block.items() for site in blocks[name]}


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


def _cost(sites: Sequence[Site], bits: int, work: Work) -> int:
    """Bits of the codes; with a budget of size, bits of the side data as well."""
    if work.method.average_bits is not None:
        return sum(site.count for site in sites) * bits
    coded = [work.coded(site, weight, bits).coding for site in sites for weight in site.weights.values()]
    return sum(8 * (coding.code_bytes + coding.side_bytes) for coding in coded)


def _budget(sites: Sequence[Site], work: Work) -> float:
    count = sum(site.count for site in sites)
    if work.method.average_bits is not None:
        return work.method.average_bits * count
    return (work.method.size_share or 0.0) * 32 * count


ALLOCATIONS.register("hessian")(Hessian())
