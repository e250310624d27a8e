"""What a saliency is, and those that read the weights, draw lots or look at the gradient of a gate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.prune.arguments import PruneArguments
from bench.methods.prune.site import Pooling, Site, Subject

if TYPE_CHECKING:
    from torch import Tensor


class Saliency(Choice):
    """How much each unit is worth: the higher its score, the longer it is kept. Fields are its arguments.

    `decides` is true if it determines how much is removed, so that no sparsity is needed.
    """

    decides: ClassVar[bool] = False

    @override
    def fits(self, method: PruneArguments) -> None:
        if method.sparsity is None and not self.decides:
            raise ValueError(f"sparsity is missing: saliency '{self.called}' does not determine how much is removed")

    @abstractmethod
    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """One score per unit [count], by the site's name; the model is not changed.

        Raises `MethodError` if such sites or such a model cannot be scored.
        """


class Elementwise(Saliency):
    """A saliency with a number for each element, pooled over the elements of a unit."""

    pooling: Pooling = Field("sum", description="how the scores of a unit's elements are combined")

    @abstractmethod
    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        """One number an element, by the parameter's name, for every piece of every site."""

    @override
    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        elements = self.elements(sites, subject)
        return {site.name: site.pooled(elements, self.pooling) for site in sites}


class DataAware(Saliency):
    """A saliency that looks at training examples."""

    examples: int = Field(256, ge=1, description="number of training examples")


SALIENCIES: Choices[Saliency] = Choices(
    "saliency",
    modules=(
        "bench.methods.prune.saliencies",
        "bench.methods.prune.curvature",
        "bench.methods.prune.jacobian",
        "bench.methods.prune.learned",
    ),
    group="bench.saliencies",
)


@SALIENCIES.register("magnitude")
class Magnitude(Elementwise):
    """|w| (Han et al. 2015, arXiv:1506.02626, §3); pooled by "l2" it is the group norm, by "max" that of a block."""

    @override
    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        return {piece.name: subject.change(piece).abs() for site in sites for piece in site.pieces}


@SALIENCIES.register("random")
class Chance(Saliency):
    """A uniform random number per unit, the same for the same seed, so that the mask is random."""

    @override
    def seeded(self) -> bool:
        return True

    @override
    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        import torch

        draws = torch.Generator().manual_seed(subject.seed)
        return {
            site.name: torch.rand(site.count, generator=draws).to(site.pieces[0].parameter.device) for site in sites
        }


@SALIENCIES.register("gate-gradient")
class GateGradient(DataAware):
    """E_x |dL(x)/dxi| at xi = 1, the gate of the unit (Michel et al. 2019, arXiv:1905.10650, §4.1).

    With the gate on the unit's contribution this is the mean over examples of |sum of w * dL/dw| over the pieces that
    act, which equals |Att_h^T dL/dAtt_h| for a head. Scores are divided by the l2 norm over their site (a layer, as
    the paper does after Molchanov et al. 2017); sites of a single unit, such as a whole feed-forward part, by the norm
    over all sites of their kind, because alone each would score 1. One pass over the examples, one example
    at a time.
    """

    @override
    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        return normalised(sites, gate_gradients(sites, subject, self.examples))


def gate_gradients(sites: Sequence[Site], subject: Subject, examples: int) -> dict[str, Tensor]:
    """E_x |dL(x)/dxi| [count] by site over so many examples, without any normalisation."""
    import torch

    from bench.methods.prune.gradients import one_by_one, parameters_of, slopes
    from bench.models.modules import differentiable

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
