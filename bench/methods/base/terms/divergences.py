"""How far what a student gives is from what its teacher gives, and every such divergence there is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.training.terms.divergences import Disparity


class Divergence(Choice):
    """The difference between vectors or distributions; 0 if they are equal."""

    @abstractmethod
    def disparity(self) -> Disparity:
        """What computes it; see `bench.training.terms.divergences`."""


DIVERGENCES: Choices[Divergence] = Choices("divergence", modules=(), group="bench.divergences")


class _Softened(Divergence):
    """A divergence of the softmax of both sides at a temperature."""

    temperature: float = Field(1.0, gt=0, le=1000, description="softmax temperature T of both sides")
    scaled: bool = Field(True, description="multiply by T^2, which keeps the gradient's size independent of T")

    def _factor(self) -> float:
        return self.temperature**2 if self.scaled else 1.0


@DIVERGENCES.register("kl")
class KullbackLeibler(_Softened):
    """T^2 * KL(softmax(teacher / T) || softmax(student / T)) (Hinton et al. 2015, arXiv:1503.02531, §2), in nats.

    Summed over classes; dividing by the number of classes as well, as the PKD code does, is not what the equation
    says. Outputs of one value (regression) have no distribution: there it is the squared difference, whatever T is.
    """

    @override
    def disparity(self) -> Disparity:
        from bench.training.terms.divergences import KlDisparity

        return KlDisparity(self.temperature, self._factor())
