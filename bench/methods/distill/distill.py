"""Knowledge distillation into a student of fewer layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from bench.methods.base.depth import refuse_lost_work, student_depth
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.tuned import GuidedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("distill")
class Distill(GuidedMethod):
    """Train a shallower student on the reference's softened outputs (Hinton et al. 2015, arXiv:1503.02531, §2).

    The loss is alpha * T^2 * KL(reference || student) at temperature T plus (1 - alpha) * the task's loss; regression
    takes the squared difference of the outputs, span QA the mean over the start and the end distribution.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    layers: int | Literal["all"] | None = Field(
        None, description="layers of the student; None is half of the given model's, 'all' keeps all layers"
    )
    init: Literal["reference", "source", "fresh"] = Field(
        "reference",
        description="start weights of the student: evenly spaced layers of the given model (the reference, if this is "
        "the first stage), the model source's pretrained weights, or random weights",
    )
    alpha: float = Field(
        0.5, ge=0, le=1, description="weight of the distillation loss; the task's loss has weight 1 - alpha"
    )
    budget: float = Field(1.0, gt=0, le=100, description="training epochs as a share of the suite's")

    @field_validator("layers")
    @classmethod
    def _a_student_has_layers(cls, layers: int | str | None) -> int | str | None:
        if isinstance(layers, int) and layers < 1:
            raise ValueError(f"layers is {layers}; give 1 or more")
        return layers

    @override
    def saving(self) -> frozenset[Saving]:
        """A student with all layers saves nothing."""
        return frozenset() if self.layers == "all" else self.saves

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a student deeper than the given model."""
        from bench.models.adapter import adapter_for

        adapter = adapter_for(model)
        depth = adapter.depth(model, adapter.stacks(model)[0])
        layers = depth if self.layers == "all" else student_depth(self.layers, depth, where="distill")
        if self.init == "reference":
            student = _with_layers(model, layers)
        else:
            refuse_lost_work(model, lab.reference, where=f"distill: init = '{self.init}'")
            student = lab.fresh(layers, self.init == "source")
        self.tune(student, lab)
        return student


def _with_layers(model: nn.Module, count: int) -> nn.Module:
    """A copy of `model` with `count` of the layers of each stack, or all if it has fewer, spread evenly."""
    from bench.models.adapter import adapter_for
    from bench.models.modules import copy_model
    from bench.models.source import spread

    student = copy_model(model)
    adapter = adapter_for(student)
    for stack in adapter.stacks(student):
        layers = adapter.layers(student, stack)
        kept = spread(min(count, len(layers)), len(layers))
        adapter.set_layers(student, [layers[position] for position in kept], stack)
    return student
