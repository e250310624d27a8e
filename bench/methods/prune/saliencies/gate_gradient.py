"""How strongly the loss depends on a gate over a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.methods.prune.saliency import SALIENCIES, DataAware, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.site import Site


class GateGradient(DataAware):
    """E_x |dL(x)/dxi| at xi = 1, the gate of the unit (Michel et al. 2019, arXiv:1905.10650, §4.1).

    With the gate on the unit's contribution this is the mean over examples of |sum of w * dL/dw| over the pieces that
    act, which equals |Att_h^T dL/dAtt_h| for a head. Scores are divided by the l2 norm of their site's (a layer, as
    the paper does after Molchanov et al. 2017); sites of a single unit, such as a whole feed-forward part, by the norm
    over all sites of their kind, since by themselves they would all score 1. One pass over the examples, one example
    at a time.
    """

    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """See `Saliency`."""
        return normalised(sites, gate_gradients(sites, subject, self.examples))


def gate_gradients(sites: Sequence[Site], subject: Subject, examples: int) -> dict[str, Tensor]:
    """E_x |dL(x)/dxi| [count] by site over so many examples, without any normalisation."""
    import torch

    from bench.methods.prune.gradients import one_by_one, parameters_of, slopes
    from bench.models.differentiable import differentiable

    parameters = parameters_of(sites, acting=True)
    changes = {piece.name: subject.change(piece) for site in sites for piece in site.acting}
    found = {site.name: torch.zeros(site.count, device=site.pieces[0].parameter.device) for site in sites}
    count = 0
    with differentiable(subject.model):
        for batch in one_by_one(subject, examples):
            gradients = zip(parameters, slopes(subject, batch, [*parameters.values()]), strict=True)
            products = {name: gradient * changes[name] for name, gradient in gradients}
            for site in sites:
                found[site.name] += site.pooled(products, "sum", acting=True).abs()
            count += 1
    return {name: total / count for name, total in found.items()}


def normalised(sites: Sequence[Site], scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores over the l2 norm of their group: the site, or all sites of a kind that have one unit each."""
    squares: dict[str, Tensor] = {}
    for site in sites:
        group = _group(site)
        total = scores[site.name].square().sum()
        squares[group] = squares[group] + total if group in squares else total
    tiny = 1e-30  # a group without any effect keeps its zeros
    return {site.name: scores[site.name] / squares[_group(site)].sqrt().clamp_min(tiny) for site in sites}


def _group(site: Site) -> str:
    return f"site {site.name}" if site.count > 1 else f"kind {site.kind}"


SALIENCIES.register("gate-gradient")(GateGradient)
