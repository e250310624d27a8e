"""How the losses of all exits make one objective: the choices of `exits` for its argument `loss`."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices


class ExitLoss(Choice):
    """The weight of every exit's loss, the last one's included, and what is added to their sum."""

    equilibrium: ClassVar[bool] = False  # whether gradients from the exits above a layer are averaged, see `ExitStack`
    regresses: ClassVar[bool] = True  # whether it works on one score per input as well as on classes

    @abstractmethod
    def weights(self, exits: int, step: int) -> list[float]:
        """The weights of the exits after layer 1, 2, ... in training step `step`; 0 leaves one out."""

    def diversity_weight(self) -> float:
        """The weight of the term that keeps exits apart, see `bench.training.exits.diversity`."""
        return 0.0


EXIT_LOSSES: Choices[ExitLoss] = Choices("exit loss", modules=(), group="bench.exit_losses")


@EXIT_LOSSES.register("by-depth")
class ByDepth(ExitLoss):
    """The mean weighted by depth, sum of j L_j over sum of j (PABEE: Zhou et al. 2020, arXiv:2006.04152)."""

    @override
    def weights(self, exits: int, step: int) -> list[float]:
        total = exits * (exits + 1) / 2
        return [layer / total for layer in range(1, exits + 1)]


@EXIT_LOSSES.register("equal")
class EqualLosses(ExitLoss):
    """The plain mean over exits."""

    @override
    def weights(self, exits: int, step: int) -> list[float]:
        return [1 / exits] * exits


@EXIT_LOSSES.register("equilibrium")
class GradientEquilibrium(ExitLoss):
    """The sum over exits, with gradients averaged on their way down (Li et al. 2019, arXiv:1908.06066).

    As in the code of ElasticBERT (fastnlp/ElasticBERT, modeling_elasticbert_entropy.py), which sums losses.
    """

    equilibrium: ClassVar[bool] = True

    @override
    def weights(self, exits: int, step: int) -> list[float]:
        return [1.0] * exits


@EXIT_LOSSES.register("grouped")
class GroupedExits(ExitLoss):
    """Exits in groups that take turns, step by step; the last exit is in each (ElasticBERT: Liu et al. 2021).

    How the paper divides the exits could not be read: here every `groups`-th exit is in one group, and the loss is the
    mean over the group. That gradients are averaged too, as by "equilibrium", is from memory of the paper.
    """

    equilibrium: ClassVar[bool] = True

    groups: int = Field(2, ge=1, le=100, description="groups that take turns")

    @override
    def weights(self, exits: int, step: int) -> list[float]:
        turn = step % self.groups
        chosen = [layer == exits or (layer - 1) % self.groups == turn for layer in range(1, exits + 1)]
        return [each / sum(chosen) for each in chosen]


@EXIT_LOSSES.register("diverse")
class Diverse(ExitLoss):
    """The mean over exits, less a term that keeps their distributions apart (Sun et al. 2021, arXiv:2105.13792).

    The abstract says that an accuracy term and a diversity term follow from ensemble learning. The equation could not
    be read: here the diversity of exit j is its least cross-entropy to an exit before it, see
    `bench.training.exits.diversity`.
    """

    regresses: ClassVar[bool] = False

    diversity: float = Field(0.1, ge=0, le=10, description="weight of the diversity term; not from the paper")

    @override
    def weights(self, exits: int, step: int) -> list[float]:
        return [1 / exits] * exits

    @override
    def diversity_weight(self) -> float:
        return self.diversity
