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


class _Tempered(Divergence):
    """A divergence of the softmax of both sides at a temperature."""

    temperature: float = Field(1.0, gt=0, le=1000, description="softmax temperature T of both sides")
    scaled: bool = Field(True, description="multiply by T^2, which keeps the gradient's size independent of T")

    def _factor(self) -> float:
        return self.temperature**2 if self.scaled else 1.0


@DIVERGENCES.register("kl")
class KullbackLeibler(_Tempered):
    """T^2 * KL(softmax(teacher / T) || softmax(student / T)) (Hinton et al. 2015, arXiv:1503.02531, §2), in nats.

    Summed over classes; dividing by the number of classes as well, as the PKD code does, is not what the equation
    says. Outputs of one value (regression) have no distribution: there it is the squared difference, whatever T is.
    """

    @override
    def disparity(self) -> Disparity:
        from bench.training.terms.divergences import Softened

        return Softened(self.temperature, self._factor(), entropy=True)


@DIVERGENCES.register("soft-ce")
class SoftCrossEntropy(_Tempered):
    """T^2 * cross-entropy of the student's softmax with the teacher's as labels, in nats.

    Its gradient is that of `kl`; its value is larger by the teacher's entropy, so it is not 0 for a clone.
    """

    @override
    def disparity(self) -> Disparity:
        from bench.training.terms.divergences import Softened

        return Softened(self.temperature, self._factor(), entropy=False)


@DIVERGENCES.register("softmax-mse")
class SoftenedMeanSquared(_Tempered):
    """T^2 * the mean squared difference of both sides' probabilities, over classes as well.

    As in the code of MetaDistil (Zhou et al. 2022, arXiv:2106.04570: github.com/JetRunner/MetaDistil).
    """

    @override
    def disparity(self) -> Disparity:
        from bench.training.terms.divergences import SoftenedSquares

        return SoftenedSquares(self.temperature, self._factor())


@DIVERGENCES.register("mse")
class MeanSquared(Divergence):
    """The mean of the squared differences over all elements that count."""

    @override
    def disparity(self) -> Disparity:
        from bench.training.terms.divergences import Squared

        return Squared()


@DIVERGENCES.register("cosine")
class CosineDistance(Divergence):
    """1 - cos(teacher, student) of each vector, in [0, 2] (DistilBERT: Sanh et al. 2019, arXiv:1910.01108, §2)."""

    @override
    def disparity(self) -> Disparity:
        from bench.training.terms.divergences import Angular

        return Angular()


@DIVERGENCES.register("patient")
class PatientSquared(Divergence):
    """||s / ||s|| - t / ||t||||^2 of each vector, in [0, 4] (PKD: Sun et al. 2019, arXiv:1908.09355, eq. 7).

    Summed over the vector's elements, as in the equation. The authors' code divides by their number as well, so its
    weights are larger by the width.
    """

    @override
    def disparity(self) -> Disparity:
        from bench.training.terms.divergences import Patient

        return Patient()
