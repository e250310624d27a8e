"""What a saliency is: a score for each unit, computed from the model or learned while it trains."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.methods.base.method import Lab
    from bench.methods.prune.prune import Prune
    from bench.methods.prune.site import Piece, Site

Pooling = Literal["sum", "mean", "max", "l2"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is scored: the model as it stands and the lab with its data.

    `anchors` are what removed weights become in place of zero.
    """

    model: nn.Module
    lab: Lab
    seed: int
    anchors: Mapping[str, Tensor] = field(default_factory=dict)

    def change(self, piece: Piece) -> Tensor:
        """What removing all of a piece would take away: its weights, or their distance from the anchor."""
        weight = piece.parameter.detach()
        return weight - self.anchors[piece.name] if piece.name in self.anchors else weight


class Saliency(Choice):
    """How much each unit is worth: the higher its score, the longer it is kept. Fields are its arguments.

    `decides` is true where it can tell by itself how much goes, so that a sparsity need not be given.
    """

    decides: ClassVar[bool] = False

    def fits(self, method: Prune) -> None:
        """See `Choice`."""
        if method.sparsity is None and not self.decides:
            raise ValueError(f"sparsity is missing: saliency '{self.called}' does not decide by itself how much goes")

    @abstractmethod
    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """One score a unit [count], by the site's name; the model is left as it was.

        Raises `MethodError` where such sites or such a model cannot be scored.
        """


class Elementwise(Saliency):
    """A saliency with a number for each element, pooled over the elements of a unit."""

    pooling: Pooling = Field("sum", description="how the scores of a unit's elements become one")

    @abstractmethod
    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        """One number an element, by the parameter's name, for every piece of every site."""

    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """See `Saliency`."""
        elements = self.elements(sites, subject)
        return {site.name: site.pooled(elements, self.pooling) for site in sites}


class DataAware(Saliency):
    """A saliency that looks at training examples."""

    examples: int = Field(256, ge=1, description="training examples that are looked at")


SALIENCIES: Choices[Saliency] = Choices(
    "saliency",
    modules=(
        "bench.methods.prune.saliencies.magnitude",
        "bench.methods.prune.saliencies.chance",
        "bench.methods.prune.saliencies.curvature",
        "bench.methods.prune.saliencies.gate_gradient",
        "bench.methods.prune.saliencies.jacobian",
        "bench.methods.prune.saliencies.movement",
        "bench.methods.prune.saliencies.soft_movement",
        "bench.methods.prune.saliencies.hard_concrete",
    ),
    group="bench.saliencies",
)
