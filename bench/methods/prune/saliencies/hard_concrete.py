"""L0 regularization: gates that are open or closed by chance, and a price on the chance that they are open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, field_validator

from bench.methods.base.method import Listed
from bench.methods.prune.gates import Learned
from bench.methods.prune.saliencies.magnitude import Magnitude
from bench.methods.prune.saliency import SALIENCIES

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.gated_chance import ConcreteGates
    from bench.methods.prune.run import Pruning


class HardConcreteGates(Learned):
    """Hard-concrete gates, drawn once a step (Louizos et al. 2018, arXiv:1712.01312; Voita et al. 2019 for heads).

    To the loss is added lambda times the mean over all units of P(gate is not 0), with `penalty_weight` as lambda; the
    papers' sums are that times the number of units. At the end a unit's weights are multiplied by its gate without
    noise, and units whose gate is then 0 are gone. Where `sparsity` is given, only gates open beyond it are priced, and
    at the end at least so many go: those closed and then those whose gates are nearest to it, or with `delta` the
    smallest changes, which is diff pruning's projection (Guo et al. 2021, arXiv:2012.07463, §3.3). The last
    `settle_share` of the budget trains with fixed masks. The price is there from the first step on: there is no
    warm-up.
    """

    decides: ClassVar[bool] = True

    penalty_weight: float = Field(0.0, ge=0, description="price of open gates")
    temperature: float = Field(2.0 / 3, gt=0, description="beta")
    stretch: Annotated[tuple[float, float], Listed] = Field(
        (-0.1, 1.1), description="gamma, below 0, and zeta, above 1"
    )
    start: float = Field(2.197, description="log a before training")
    groups: bool = Field(False, description="a further gate for each site")

    @field_validator("stretch")
    @classmethod
    def _reaches_beyond_both_ends(cls, stretch: tuple[float, float]) -> tuple[float, float]:
        if not (stretch[0] < 0 and stretch[1] > 1):
            raise ValueError(f"stretch is {list(stretch)}; it must reach below 0 and above 1")
        return stretch

    def train(self, pruning: Pruning, curve: Callable[[int, int], float], *, settle: float) -> None:
        """See `Learned`; tells the sparsity that was reached."""
        from bench.methods.prune.gated import fold, train_gates
        from bench.methods.prune.gated_chance import ConcreteGates

        sparsity = pruning.method.sparsity
        gates = ConcreteGates(pruning, self)
        train_gates(pruning, gates, rate=self.rate, share=1.0 - settle)
        values = gates.certain()
        fold(pruning.sites, values, pruning.anchors)
        pruning.keep({name: value > 0 for name, value in values.items()})
        if sparsity is not None:
            chosen = pruning.select(_rank(pruning, gates), sparsity)
            pruning.keep({name: mask & (values[name] > 0) for name, mask in chosen.items()})
        pruning.lab.progress(f"{pruning.sparsity:.1%} of the units are gone", 1.0)
        if settle:
            pruning.train(settle)


def _rank(pruning: Pruning, gates: ConcreteGates) -> dict[str, Tensor]:
    """What is projected by: the size of the change with `delta`, else how far open a gate is; -inf where closed."""
    if pruning.method.delta:
        return Magnitude().scores(pruning.sites, pruning.subject())
    return {
        name: openness.masked_fill(~pruning.masks[name], float("-inf")) for name, openness in gates.openness().items()
    }


SALIENCIES.register("hard-concrete")(HardConcreteGates)
