"""Optimal Brain Damage: what removing a weight adds to the loss, to second order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.methods.prune.saliencies import SALIENCIES, DataAware, Elementwise
from bench.methods.prune.site import Subject

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.methods.prune.site import Site

_FLOOR = 1e-6  # of the mean magnitude of all curvatures


@SALIENCIES.register("obd")
class Damage(DataAware, Elementwise):
    """1/2 h w^2 (LeCun et al. 1989, Optimal Brain Damage, eq. 5) with h the diagonal of the loss's Hessian.

    h is estimated by Hutchinson's E[v * H v] over random signs v, `probes` of them per batch. Away from a minimum
    h may be negative, so the quadratic model predicts no loss: h is raised to a millionth of the mean |h|, so that
    such weights are removed first, by magnitude. The survey prints the term with a minus sign, which would
    keep the least important weights.
    """

    probes: int = Field(4, ge=1, description="random vectors per batch of examples")

    def seeded(self) -> bool:
        """The signs are drawn."""
        return True

    @override
    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        curvature = hessian_diagonal(sites, subject, examples=self.examples, probes=self.probes)
        return _damage(sites, subject, curvature)


@SALIENCIES.register("fisher")
class Fisher(DataAware, Elementwise):
    """1/2 F w^2 with F the diagonal of the empirical Fisher information instead of the Hessian's.

    F is the mean over examples of the squared gradient of the loss on one example, which is never negative.
    """

    @override
    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        import torch

        from bench.methods.prune.gradients import one_by_one, parameters_of, slopes
        from bench.models.modules import differentiable

        parameters = parameters_of(sites)
        found = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        examples = 0
        with differentiable(subject.model):
            for batch in one_by_one(subject, self.examples):
                for total, slope in zip(found.values(), slopes(subject, batch, [*parameters.values()]), strict=True):
                    total += slope.square()
                examples += 1
        return _damage(sites, subject, {name: total / examples for name, total in found.items()})


def hessian_diagonal(sites: Sequence[Site], subject: Subject, *, examples: int, probes: int) -> dict[str, Tensor]:
    """An estimate of d2L/dw2 by the parameter's name, L the mean over batches weighted by their examples."""
    import torch

    from bench.methods.prune.gradients import batches, parameters_of, slopes
    from bench.models.modules import differentiable

    parameters = parameters_of(sites)
    found = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    draws = torch.Generator().manual_seed(subject.seed)
    listed = batches(subject, examples)
    count = sum(len(batch.rows) for batch in listed)
    with differentiable(subject.model):
        for batch in listed:
            gradients = slopes(subject, batch, [*parameters.values()], again=True)
            curved = hutchinson(gradients, [*parameters.values()], probes=probes, draws=draws)
            for total, part in zip(found.values(), curved, strict=True):
                total += part * (len(batch.rows) / count)
    return found


def hutchinson(
    gradients: Sequence[Tensor], parameters: Sequence[Tensor], *, probes: int, draws: torch.Generator
) -> list[Tensor]:
    """The mean of v * (H v) over `probes` vectors v of random signs, for gradients that have a graph.

    It has the diagonal of H as its expectation and the sum of H's other squared entries of a row as the variance of
    one probe (Hutchinson 1990; for networks Yao et al. 2020, arXiv:1912.07145).
    """
    import torch

    found = [torch.zeros_like(parameter) for parameter in parameters]
    if not any(gradient.requires_grad for gradient in gradients):
        return found
    for _ in range(probes):
        signs = [
            (torch.randint(0, 2, parameter.shape, generator=draws) * 2 - 1).to(parameter) for parameter in parameters
        ]
        along = sum(((gradient * sign).sum() for gradient, sign in zip(gradients, signs, strict=True)), start=0.0)
        products = torch.autograd.grad(
            torch.as_tensor(along), parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for total, sign, product in zip(found, signs, products, strict=True):
            total += sign * product / probes
    return found


def _damage(sites: Sequence[Site], subject: Subject, curvature: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """1/2 h w^2 for every element, h at least the floor."""
    elements = sum(part.numel() for part in curvature.values())
    floor = _FLOOR * sum(float(part.abs().sum()) for part in curvature.values()) / elements
    return {
        piece.name: 0.5 * curvature[piece.name].clamp_min(floor) * subject.change(piece).square()
        for site in sites
        for piece in site.pieces
    }
