"""When an input leaves early, and where all do: the criteria of `exit-at`."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.layers.exit_rules import ExitRule


class Criterion(Choice):
    """When an input leaves a model that has exits."""

    regresses: ClassVar[bool] = False  # whether it works on one score per input as well as on classes
    cuts: ClassVar[bool] = False  # whether all inputs leave at one layer, so that those above it go from the artifact

    @abstractmethod
    def rule(self) -> ExitRule:
        """What decides, as the artifact stores it."""

    def depth(self) -> int | None:
        """The layer after which all inputs leave; None if each is decided on."""
        return None


CRITERIA: Choices[Criterion] = Choices("exit criterion", modules=(), group="bench.exit_criteria")


@CRITERIA.register("never")
class Never(Criterion):
    """Every input runs every layer: the model before a criterion is chosen."""

    regresses: ClassVar[bool] = True

    @override
    def rule(self) -> ExitRule:
        from bench.layers.exit_rules import NeverRule

        return NeverRule()


@CRITERIA.register("entropy")
class LowEntropy(Criterion):
    """Leave at the first exit whose distribution has a low entropy (Xin et al. 2020, arXiv:2004.12993, DeeBERT).

    Also the rule of ElasticBERT's code (Liu et al. 2021, arXiv:2110.07038). The entropy of C classes is at most ln C
    nats, so 0 never leaves, and a threshold above ln C leaves at the first exit.
    """

    threshold: float = Field(0.1, ge=0, le=100, description="leave if the entropy is below it, in nats")

    @override
    def rule(self) -> ExitRule:
        from bench.layers.exit_rules import EntropyRule

        return EntropyRule(self.threshold)


@CRITERIA.register("confidence")
class HighConfidence(Criterion):
    """Leave at the first exit that is confident (Schwartz et al. 2020, arXiv:2004.07453, without its calibration)."""

    threshold: float = Field(
        0.9, ge=0, le=1, description="leave if the largest probability is above it; 1 never leaves"
    )

    @override
    def rule(self) -> ExitRule:
        from bench.layers.exit_rules import ConfidenceRule

        return ConfidenceRule(self.threshold)


@CRITERIA.register("patience")
class Patience(Criterion):
    """Leave when successive exits agree `patience` times in a row (PABEE: Zhou et al. 2020, arXiv:2006.04152).

    The counter starts at 0 after layer 1, so the earliest exit is after layer patience + 1, and a patience of the depth
    or more runs every layer.
    """

    regresses: ClassVar[bool] = True

    patience: int = Field(6, ge=1, le=1000, description="agreements in a row")
    tolerance: float = Field(
        0.1, ge=0, description="regression: two scores agree if they differ by less, in units of the score"
    )

    @override
    def rule(self) -> ExitRule:
        from bench.layers.exit_rules import PatienceRule

        return PatienceRule(self.patience, self.tolerance)


@CRITERIA.register("vote")
class Vote(Criterion):
    """Leave when enough of the exits so far name one class, which is the answer (Sun et al. 2021, arXiv:2105.13792).

    The abstract says that all past classifiers vote; the threshold on the count of votes is from the survey's
    description, as the paper itself could not be read.
    """

    votes: int = Field(3, ge=1, le=1000, description="votes for one class, in a row or not")

    @override
    def rule(self) -> ExitRule:
        from bench.layers.exit_rules import VoteRule

        return VoteRule(self.votes)


@CRITERIA.register("layer")
class AtLayer(Criterion):
    """Let every input leave after one layer; the layers above and all other exits go from the artifact.

    Static elasticity as in ElasticBERT (Liu et al. 2021, arXiv:2110.07038): the result is an ordinary, smaller model.
    """

    regresses: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    layer: int = Field(ge=1, le=1000, description="the layer, counted from 1; the depth keeps all layers")

    @override
    def depth(self) -> int:
        return self.layer

    @override
    def rule(self) -> ExitRule:
        from bench.layers.exit_rules import NeverRule

        return NeverRule()
