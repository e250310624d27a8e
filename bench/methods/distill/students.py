"""What a student is: its form and the weights that it starts from, and every kind of student there is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices
from bench.methods.base.depth import refuse_lost_work, student_depth
from bench.methods.base.method import Lab, Listed
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn


class Student(Choice):
    """A form of model that learns from a teacher, and its first weights."""

    def saving(self) -> frozenset[Saving]:
        """What a model of this form saves, compared with the given one."""
        return frozenset({"bytes", "macs", "time"})

    def tasks(self) -> tuple[str, ...]:
        """Other tasks of the suite whose training data are used."""
        return ()

    @abstractmethod
    def made(self, model: nn.Module, lab: Lab) -> nn.Module:
        """A new model to train, made from the given one, which stays bit-equal, or afresh.

        Raises `MethodError` if the given model does not allow it.
        """


STUDENTS: Choices[Student] = Choices(
    "student",
    modules=("bench.methods.distill.students", "bench.methods.distill.other_students"),
    group="bench.students",
)


class Pretrained(Student):
    """A student that may first learn masked language modelling on the texts of another task (Turc et al. 2019).

    Its body is trained under a fresh masked head, which is thrown away. arXiv:1908.08962, §3: of a compact model's
    starts, pre-training it is better than truncating the teacher, and that is better than random weights.
    """

    pretrain: str | None = Field(
        None, description="task of masked language modelling on whose texts the student is trained first"
    )
    pretrain_budget: float = Field(
        1.0, gt=0, le=1000, description="epochs of that, as a share of those that the suite gives that task"
    )
    pretrain_rate: float | None = Field(
        None, gt=0, le=1, description="peak learning rate of that; None takes the suite's for that task"
    )

    @model_validator(mode="after")
    def _a_budget_for_something(self) -> Pretrained:
        if self.pretrain is None and (self.pretrain_budget != 1.0 or self.pretrain_rate is not None):
            raise ValueError(
                "pretrain_budget and pretrain_rate need pretrain, the task on whose texts the student is trained first"
            )
        return self

    @override
    def tasks(self) -> tuple[str, ...]:
        return () if self.pretrain is None else (self.pretrain,)

    @override
    def made(self, model: nn.Module, lab: Lab) -> nn.Module:
        student = self.first(model, lab)
        if self.pretrain is not None:
            from bench.methods.distill.pretraining import learn_texts

            learn_texts(student, lab, task=self.pretrain, budget=self.pretrain_budget, rate=self.pretrain_rate)
        return student

    @abstractmethod
    def first(self, model: nn.Module, lab: Lab) -> nn.Module:
        """What `made` gives before any training; raises as it does."""


@STUDENTS.register("layers")
class FewerLayers(Pretrained):
    """Some of the layers of each stack; everything else is the given model's (Sanh et al. 2019, arXiv:1910.01108, §2).

    A stack that has no more layers than the student is to have keeps all of them.
    """

    layers: int | None = Field(None, ge=1, description="layers of the student; None is half of the given model's")
    start: Literal["spread", "first"] | Annotated[tuple[int, ...], Listed] = Field(
        "spread",
        description="which layers the student has: evenly spaced ones up to the last, the first ones, or a list of "
        "their numbers from 1, which says how many there are; on a command line: 1+3+5",
    )
    weights: Literal["given", "source", "fresh"] = Field(
        "given", description="start from the given weights, the model source's pretrained weights, or random weights"
    )

    @field_validator("start")
    @classmethod
    def _numbers_of_layers(cls, start: str | tuple[int, ...]) -> str | tuple[int, ...]:
        if isinstance(start, tuple) and (not start or min(start) < 1 or sorted(set(start)) != list(start)):
            raise ValueError(f"start is {list(start)}; give different numbers of layers from 1 on, in rising order")
        return start

    @model_validator(mode="after")
    def _start_and_depth_agree(self) -> FewerLayers:
        if isinstance(self.start, tuple) and self.layers not in (None, len(self.start)):
            raise ValueError(f"start names {len(self.start)} layers, but layers is {self.layers}. Leave layers out")
        if self.weights == "fresh" and self.start != "spread":
            raise ValueError("start has no effect on random weights. Leave it out, and give layers a number")
        return self

    @override
    def first(self, model: nn.Module, lab: Lab) -> nn.Module:
        from bench.models.adapter import adapter_for

        adapter = adapter_for(model)
        depth = adapter.depth(model, adapter.stacks(model)[0])
        layers = student_depth(self._count(), depth, where="distill")
        if self.weights == "given":
            return self._cut(model, layers)
        refuse_lost_work(model, lab.reference, where=f"distill: student.weights = '{self.weights}'")
        if self.start == "spread" or self.weights == "fresh":
            return lab.fresh(layers, self.weights == "source")
        return self._cut(lab.fresh(depth, True), layers)

    def _count(self) -> int | None:
        return len(self.start) if isinstance(self.start, tuple) else self.layers

    def _cut(self, model: nn.Module, count: int) -> nn.Module:
        """A copy of `model` with `count` of the layers of each stack, or all if it has fewer."""
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        student = copy_model(model)
        adapter = adapter_for(student)
        for stack in adapter.stacks(student):
            layers = adapter.layers(student, stack)
            kept = self.positions(min(count, len(layers)), len(layers))
            adapter.set_layers(student, [layers[position] for position in kept], stack)
        return student

    def positions(self, count: int, depth: int) -> list[int]:
        """Which of `depth` layers, counted from 0, the student has; raises `MethodError` for one that is not there."""
        from bench.models.source import spread

        if isinstance(self.start, tuple):
            if self.start[-1] > depth:
                raise MethodError(
                    f"distill: student.start names layer {self.start[-1]}, but the given model has {depth}"
                )
            return [number - 1 for number in self.start]
        return list(range(count)) if self.start == "first" else list(spread(count, depth))


@STUDENTS.register("same")
class GivenForm(Student):
    """The given model itself, with all its layers: what earlier stages made smaller learns from the teacher again."""

    @override
    def saving(self) -> frozenset[Saving]:
        return frozenset()

    @override
    def made(self, model: nn.Module, lab: Lab) -> nn.Module:
        from bench.models.modules import copy_model

        del lab
        return copy_model(model)
