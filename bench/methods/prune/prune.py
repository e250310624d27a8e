"""Pruning: which units, by what saliency, chosen how, when, and at what price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Chosen
from bench.methods.base.depth import refuse_lost_work
from bench.methods.base.method import METHODS, Lab, Listed, Target
from bench.methods.base.trained import TrainedMethod
from bench.methods.prune.penalties import PENALTIES, Penalty
from bench.methods.prune.saliencies import SALIENCIES, Saliency
from bench.methods.prune.schedules import SCHEDULES, Schedule
from bench.methods.prune.selectors import SELECTORS, Selector
from bench.methods.prune.units import UNITS, Unit
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import Tensor, nn


@METHODS.register("prune")
class Prune(TrainedMethod):
    """Set units of the encoder's weights to zero and train the others (Han et al. 2015, arXiv:1506.02626).

    Five choices define a pruning method: the unit, the saliency that scores it, the selector that decides by
    the scores, the schedule that sets when, and a penalty. The defaults are one-shot magnitude pruning of single
    weights. Zeros alone leave executed MACs as they were; `macs_effective`, `params_nonzero` and the artifact's size
    change. The method `shrink` removes whole heads, neurons and layers; `sparsify` executes sparse matrices.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    sparsity: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of the units to remove; may be left out if the saliency determines it "
        "(hard-concrete, soft-movement)",
    )
    scope: Literal["global", "class", "layer"] = Field(
        "global", description="rank units globally, per class of matrices, or per matrix"
    )
    budget: float = Field(
        1.0 / 3, ge=0, le=100, description="retraining epochs as a share of the suite's; 0 means none"
    )
    unit: Annotated[Unit, Chosen(UNITS)] = Field(
        default_factory=UNITS.default("weight"), description="the unit of pruning: what is removed as a whole"
    )
    targets: Annotated[tuple[Target, ...], Listed] = Field(
        (), description="which matrices, by role; empty means all matrices in the layers"
    )
    biases: bool = Field(False, description="if a whole row is removed, its bias is removed too")
    saliency: Annotated[Saliency, Chosen(SALIENCIES)] = Field(
        default_factory=SALIENCIES.default("magnitude"),
        description="pruning saliency: how the importance of a unit is scored",
    )
    selector: Annotated[Selector, Chosen(SELECTORS)] | None = Field(
        None, description="how units are selected by score; None removes the lowest within `scope`"
    )
    schedule: Annotated[Schedule, Chosen(SCHEDULES)] = Field(
        default_factory=SCHEDULES.default("rounds"), description="pruning schedule: when units are removed"
    )
    penalty: Annotated[Penalty, Chosen(PENALTIES)] | None = Field(
        None, description="penalty on the units during training"
    )
    start: Literal["given", "fresh", "source"] = Field(
        "given", description="start from the given weights, random weights, or the pretrained weights"
    )
    delta: bool = Field(False, description="prune the difference from the pretrained weights instead of the weights")
    freeze_embeddings: bool = Field(False, description="do not train the embedding tables")

    @model_validator(mode="after")
    def _arguments_fit_each_other(self) -> Prune:
        if self.delta and self.start == "fresh":
            raise ValueError("delta needs pretrained weights, and start 'fresh' has none")
        return self

    @property
    def target(self) -> float:
        """The share of the units to remove; raises `MethodError` if none was asked for."""
        if self.sparsity is None:
            raise MethodError(
                f"prune: schedule '{self.schedule.called}' with saliency '{self.saliency.called}' needs a sparsity"
            )
        return self.sparsity

    @override
    def tasks(self) -> tuple[str, ...]:
        return self.schedule.tasks()

    @override
    def scores(self) -> bool:
        return self.schedule.scores()

    def seeded(self) -> bool:
        """A fresh start has at least a new head."""
        return super().seeded() or self.start != "given" or any(choice.seeded() for choice in self.choices())

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Prune and train a copy of the model, or a fresh one.

        Raises:
            MethodError: weights that are no longer floating point, a model without such units, or choices that do not
                go together.
        """
        from bench.methods.prune.run import Pruning
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        if self.start == "given":
            pruned = copy_model(model)
        else:
            refuse_lost_work(model, lab.reference, where=f"prune: start = '{self.start}'")
            adapter = adapter_for(model)
            pruned = lab.fresh(len(adapter.layers(model)), self.start == "source")
        pruning = Pruning(pruned, self, lab, anchors=self._anchors(pruned, lab) if self.delta else None)
        self.schedule.run(pruning)
        return pruning.model.eval()

    def _anchors(self, model: nn.Module, lab: Lab) -> dict[str, Tensor]:
        """The pretrained tensors by name, without those of the head, which pretraining has not seen."""
        from bench.models.adapter import adapter_for

        source = lab.fresh(len(adapter_for(model).layers(model)), True)
        return {name: parameter.detach().clone() for name, parameter in source.named_parameters()}
