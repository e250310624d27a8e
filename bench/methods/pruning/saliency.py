"""What a saliency is: a score for each unit, computed from the model or learned while it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.methods.method import Lab
    from bench.methods.pruning.site import Piece, Pooling, Site


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is scored: the model as it stands, the lab with its data, and what the caller asks of every saliency.

    `examples` is how many training examples a data-aware saliency may look at, `probes` how many random vectors it may
    draw for each batch of them, `pooling` how the elements of a unit become one number where the saliency has one an
    element. `anchors` are what removed weights become in place of zero.
    """

    model: nn.Module
    lab: Lab
    examples: int
    pooling: Pooling
    seed: int
    probes: int = 4
    anchors: Mapping[str, Tensor] = field(default_factory=dict)

    def change(self, piece: Piece) -> Tensor:
        """What removing all of a piece would take away: its weights, or their distance from the anchor."""
        weight = piece.parameter.detach()
        return weight - self.anchors[piece.name] if piece.name in self.anchors else weight


class Saliency(ABC):
    """How much each unit is worth: the higher its score, the longer it is kept. Instances hold no state."""

    @abstractmethod
    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """One score a unit [count], by the site's name; the model is left as it was.

        Raises `MethodError` where such sites or such a model cannot be scored.
        """


class Elementwise(Saliency):
    """A saliency with a number for each element, pooled over the elements of a unit."""

    @abstractmethod
    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        """One number an element, by the parameter's name, for every piece of every site."""

    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """See `Saliency`."""
        elements = self.elements(sites, subject)
        return {site.name: site.pooled(elements, subject.pooling) for site in sites}


SALIENCIES: Registry[Saliency] = Registry(
    "saliency",
    modules=(
        "bench.methods.pruning.saliencies.magnitude",
        "bench.methods.pruning.saliencies.chance",
        "bench.methods.pruning.saliencies.curvature",
        "bench.methods.pruning.saliencies.gate_gradient",
        "bench.methods.pruning.saliencies.jacobian",
        "bench.methods.pruning.saliencies.movement",
        "bench.methods.pruning.saliencies.soft_movement",
        "bench.methods.pruning.saliencies.hard_concrete",
    ),
    group="bench.saliencies",
)
