"""How the weight of a term changes over a training and from example to example."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.methods.base.method import Lab
    from bench.training.terms.weighing import Weigher


class WeightSchedule(Choice):
    """A factor on the weight of a term."""

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """The factor at `step`, from 0 to `total_steps` - 1."""


WEIGHT_SCHEDULES: Choices[WeightSchedule] = Choices("weight schedule", modules=(), group="bench.weight_schedules")


@WEIGHT_SCHEDULES.register("constant")
class ConstantWeight(WeightSchedule):
    """Always 1."""

    @override
    def factor(self, step: int, total_steps: int) -> float:
        return 1.0


@WEIGHT_SCHEDULES.register("linear")
class LinearWeight(WeightSchedule):
    """From `start` at the first step to `end` at the last, on a straight line."""

    start: float = Field(1.0, ge=0, description="factor at the first step")
    end: float = Field(0.0, ge=0, description="factor at the last step")

    @override
    def factor(self, step: int, total_steps: int) -> float:
        share = step / (total_steps - 1) if total_steps > 1 else 0.0
        return self.start + (self.end - self.start) * share


class ExampleWeight(Choice):
    """A factor for each example of a batch."""

    @abstractmethod
    def weigher(self, lab: Lab) -> Weigher | None:
        """What computes the factors while a model trains in `lab`; see `bench.training.terms.weighing`. None is 1."""

    @property
    def smooths(self) -> bool:
        """Whether it changes what the teacher says and not how much that counts."""
        return False


EXAMPLE_WEIGHTS: Choices[ExampleWeight] = Choices(
    "example weight", modules=("bench.methods.base.terms.ease",), group="bench.example_weights"
)


@EXAMPLE_WEIGHTS.register("teacher-error")
class TeacherError(ExampleWeight):
    """1 / (1 + the teacher's loss on the labels): a teacher that is wrong counts less.

    MT-BERT (Wu et al. 2021, arXiv:2106.01023, §3.2).
    """

    @override
    def weigher(self, lab: Lab) -> Weigher:
        from bench.training.terms.weighing import ByTeacherError

        del lab
        return ByTeacherError()
