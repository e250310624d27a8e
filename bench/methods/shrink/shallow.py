"""The model that compression has to beat: as small as a student, trained without any."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bench.methods.base.depth import refuse_lost_work, student_depth
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.trained import TrainedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("shallow")
class Shallow(TrainedMethod):
    """Train a model with fewer layers on the labels only, without the reference."""

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    layers: int | None = Field(None, ge=1, description="number of layers; None is half the reference's")
    init: Literal["fresh", "source"] = Field(
        "fresh", description="random weights, or evenly spaced layers of the pretrained model"
    )
    budget: float = Field(1.0, gt=0, le=100, description="training epochs as a share of the suite's")

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` if stages before it would be lost."""
        from bench.models.adapter import adapter_for

        refuse_lost_work(model, lab.reference, where="shallow")
        adapter = adapter_for(model)
        layers = student_depth(self.layers, adapter.depth(model, adapter.stacks(model)[0]), where="shallow")
        small = lab.fresh(layers, self.init == "source")
        self.tune(small, lab)
        return small
