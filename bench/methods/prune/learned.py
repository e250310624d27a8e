"""Saliencies that are learned: scores or gates that train with the weights and stand in front of them meanwhile."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import Listed
from bench.methods.prune.arguments import Curve, PruneArguments
from bench.methods.prune.saliencies import SALIENCIES, Magnitude, Saliency
from bench.methods.prune.site import Site, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.concrete import ConcreteGates
    from bench.methods.prune.gates import ThresholdScores
    from bench.methods.prune.run import Pruning


class Learned(Saliency):
    """A saliency whose scores train with the weights; only the schedule "gradual" can use it."""

    rate: float = Field(
        1e-2, gt=0, description="learning rate of the scores or gates; no effect on movement scores that start at 0"
    )

    @override
    def fits(self, method: PruneArguments) -> None:
        name, schedule = self.called, method.schedule.called
        if schedule != "gradual":
            raise ValueError(
                f"saliency '{name}' is learned while training, so it needs schedule 'gradual'; found '{schedule}'"
            )
        if not method.budget:
            raise ValueError(f"saliency '{name}' is learned while training, but a budget of 0 trains nothing")
        super().fits(method)

    @abstractmethod
    def train(self, pruning: Pruning, curve: Curve, *, settle: float) -> None:
        """Train weights and scores together for the whole budget, then leave the final masks in `pruning`.

        Args:
            pruning: the pruning; afterwards its model has no gates, and removed weights are zero.
            curve: how far pruning has come at a step of so many, from 0 to 1.
            settle: share of the steps, at the end, in which the curve is at 1.
        """

    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """Raises `MethodError`: there are no scores before training."""
        raise MethodError("prune: this saliency is learned while training. Give schedule 'gradual'.")


@SALIENCIES.register("movement")
class Movement(Learned):
    """W' = W * Top(S) with the scores S learned straight through (Sanh et al. 2020, arXiv:2005.07683, §4).

    S starts at 0 and accumulates -dL/dW' W, summed over a unit, so that weights that move away from zero stay. At every
    step the selector keeps the share that the schedule sets; masked weights keep their values and can return.

    Only the order of the scores counts, and Adam's steps are in proportion to their rate. Scores that start at 0 are
    therefore in the same order at every `rate`, which then has no effect at all: the models are the same. It has
    one with `start` "magnitude", which is ours and not the paper's: the scores start at |W|, summed over a unit,
    so that magnitude pruning decides at first, and the rate sets how fast movement takes over.
    """

    start: Literal["zero", "magnitude"] = Field(
        "zero", description="scores start at 0 (rate then has no effect) or at the sum of |W| over the unit"
    )

    @override
    def train(self, pruning: Pruning, curve: Curve, *, settle: float) -> None:
        from bench.methods.prune.gates import TopScores, train_gates

        gates = TopScores(pruning, curve, self._starts(pruning))
        train_gates(pruning, gates, rate=self.rate)
        pruning.keep(gates.masks(pruning.method.target))

    def _starts(self, pruning: Pruning) -> dict[str, Tensor] | None:
        """Every score before training, by the site's name; None is 0."""
        if self.start == "zero":
            return None
        return Magnitude().scores(pruning.sites, pruning.subject())


@SALIENCIES.register("soft-movement")
class SoftMovement(Learned):
    """A unit stays if sigmoid(S) > tau (Sanh et al. 2020, arXiv:2005.07683, §4; Lagunas et al. 2021 for blocks).

    tau rises from 0 to `threshold` along the curve; to the loss is added lambda tau_t / tau times the mean over sites
    of mean sigmoid(S), with `penalty_weight` as lambda. Of each site at least the share `least` stays. How much is
    removed depends on lambda. If `sparsity` is given as well, scores have no penalty in steps in which this share is
    removed; they train for all but `settle_share` of the budget; then exactly this share is removed, by lowest score
    within `scope`, and the rest of the budget trains with fixed masks.
    """

    decides: ClassVar[bool] = True

    threshold: float = Field(0.1, gt=0, lt=1, description="units with sigmoid(score) above this stay")
    least: float = Field(0.005, ge=0, lt=1, description="minimum share of each matrix that stays")
    penalty_weight: float = Field(0.0, ge=0, description="weight of the penalty on the scores")

    def gates(self, pruning: Pruning, curve: Curve) -> ThresholdScores:
        """The gates before training."""
        from bench.methods.prune.gates import ThresholdScores

        weight = self.penalty_weight
        return ThresholdScores(pruning, curve, threshold=self.threshold, least=self.least, weight=weight)

    def train(self, pruning: Pruning, curve: Curve, *, settle: float) -> None:
        """Tells the sparsity that was reached."""
        from bench.methods.prune.gates import train_gates

        sparsity = pruning.method.sparsity
        gates = self.gates(pruning, curve)
        if sparsity is None:
            train_gates(pruning, gates, rate=self.rate)
            pruning.keep(gates.masks(self.threshold))
        else:
            train_gates(pruning, gates, rate=self.rate, share=1.0 - settle)
            scores = {name: score.detach() for name, score in gates.scores.items()}
            pruning.keep(pruning.select(scores, sparsity))
            if settle:
                pruning.train(settle)
        pruning.lab.progress(f"{pruning.sparsity:.1%} of the units are removed", 1.0)


@SALIENCIES.register("hard-concrete")
class HardConcreteGates(Learned):
    """Hard-concrete gates, drawn once per step (Louizos et al. 2018, arXiv:1712.01312; Voita et al. 2019 for heads).

    To the loss is added lambda times the mean over all units of P(gate is not 0), with `penalty_weight` as lambda; the
    papers' sums are that times the number of units. At the end a unit's weights are multiplied by its gate without
    noise, and units whose gate is then 0 are removed. If `sparsity` is given, only gates open beyond it cost, and
    at the end at least this share is removed: closed gates first, then the nearest to closed, or with `delta` the
    smallest changes, which is diff pruning's projection (Guo et al. 2021, arXiv:2012.07463, §3.3). The last
    `settle_share` of the budget trains with fixed masks. The penalty applies from the first step: there is no
    warm-up.
    """

    decides: ClassVar[bool] = True

    penalty_weight: float = Field(0.0, ge=0, description="weight of the penalty on open gates")
    temperature: float = Field(2.0 / 3, gt=0, description="beta")
    stretch: Annotated[tuple[float, float], Listed] = Field(
        (-0.1, 1.1), description="ends of the stretched interval: gamma, below 0, and zeta, above 1"
    )
    start: float = Field(2.197, description="initial log alpha of the gates")
    groups: bool = Field(False, description="add one gate per matrix")

    @field_validator("stretch")
    @classmethod
    def _reaches_beyond_both_ends(cls, stretch: tuple[float, float]) -> tuple[float, float]:
        if not (stretch[0] < 0 and stretch[1] > 1):
            raise ValueError(f"stretch is {list(stretch)}; it must reach below 0 and above 1")
        return stretch

    def gates(self, pruning: Pruning) -> ConcreteGates:
        """The gates before training."""
        from bench.methods.prune.concrete import ConcreteGates, HardConcrete

        low, high = self.stretch
        chance = HardConcrete(temperature=self.temperature, low=low, high=high)
        return ConcreteGates(pruning, chance, start=self.start, weight=self.penalty_weight, groups=self.groups)

    def train(self, pruning: Pruning, curve: Curve, *, settle: float) -> None:
        """Tells the sparsity that was reached."""
        from bench.methods.prune.gates import fold, train_gates

        sparsity = pruning.method.sparsity
        gates = self.gates(pruning)
        train_gates(pruning, gates, rate=self.rate, share=1.0 - settle)
        values = gates.certain()
        fold(pruning.sites, values, pruning.anchors)
        pruning.keep({name: value > 0 for name, value in values.items()})
        if sparsity is not None:
            chosen = pruning.select(_rank(pruning, gates), sparsity)
            pruning.keep({name: mask & (values[name] > 0) for name, mask in chosen.items()})
        pruning.lab.progress(f"{pruning.sparsity:.1%} of the units are removed", 1.0)
        if settle:
            pruning.train(settle)


def _rank(pruning: Pruning, gates: ConcreteGates) -> dict[str, Tensor]:
    """What is projected by: the size of the change with `delta`, else how far open a gate is; -inf where closed."""
    if pruning.method.delta:
        return Magnitude().scores(pruning.sites, pruning.subject())
    return {
        name: openness.masked_fill(~pruning.masks[name], float("-inf")) for name, openness in gates.openness().items()
    }
