"""Pruning: which units, by what saliency, chosen how, when, and at what price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bench.errors import MethodError
from bench.methods.depth import refuse_lost_work
from bench.methods.method import METHODS, Lab, Listed, known
from bench.methods.pruning.gates import Learned
from bench.methods.pruning.penalty import PENALTIES
from bench.methods.pruning.saliency import SALIENCIES
from bench.methods.pruning.schedule import SCHEDULES
from bench.methods.pruning.selector import SELECTORS
from bench.methods.pruning.transfer import refuse_transfer
from bench.methods.pruning.unit import UNITS
from bench.methods.roles import Target
from bench.methods.tuned import GuidedMethod
from bench.saving import Saving

if TYPE_CHECKING:
    from torch import Tensor, nn


@METHODS.register("prune")
class Prune(GuidedMethod):
    """Put units of the encoder's weights to zero and train the others (Han et al. 2015, arXiv:1506.02626).

    Five choices make one of the survey's systems: the unit, the saliency that scores it, the selector that decides by
    the scores, the schedule that says when, and a penalty. The defaults are one-shot magnitude pruning of single
    weights. Zeros alone leave executed MACs as they were; `macs_effective`, `params_nonzero` and the artifact's size
    change. The method `shrink` takes whole heads, neurons and layers out, `sparsify` executes sparse matrices.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    sparsity: float | None = Field(
        None, ge=0, lt=1, description="share of the units to remove; a saliency that decides by itself may go without"
    )
    scope: Literal["global", "class", "layer"] = Field(
        "global", description="rank all units together, those of one class of matrices, or each matrix by itself"
    )
    rounds: int = Field(1, ge=1, le=100, description="prune-retrain rounds of the schedule 'rounds'")
    budget: float = Field(1.0 / 3, ge=0, le=100, description="retraining epochs as a share of the suite's; 0 is none")
    unit: Annotated[str, known(UNITS)] = Field("weight", description="what is removed as a whole")
    block: Annotated[tuple[int, int], Listed] = Field((4, 4), description="rows and columns of the unit 'block', 4+4")
    targets: Annotated[tuple[Target, ...], Listed] = Field(
        (), description="which matrices, by role; empty is all inside the layers"
    )
    biases: bool = Field(False, description="where a whole row goes, its bias goes as well")
    saliency: Annotated[str, known(SALIENCIES)] = Field("magnitude", description="what a unit is worth")
    pooling: Literal["sum", "mean", "max", "l2"] = Field(
        "sum", description="how the scores of a unit's elements become one, for a saliency that has one an element"
    )
    examples: int = Field(256, ge=1, description="training examples that a data-aware saliency looks at")
    probes: int = Field(4, ge=1, description="obd: random vectors for each batch of them")
    selector: Annotated[str | None, known(SELECTORS)] = Field(
        None, description="which units go, by their scores; None is the lowest within `scope`"
    )
    schedule: Annotated[str, known(SCHEDULES)] = Field("rounds", description="when units go")
    steps: Literal["geometric", "linear"] = Field("geometric", description="how sparsity grows over the rounds")
    start: Literal["given", "fresh", "source"] = Field(
        "given", description="begin with the given weights, with random ones, or as the model was pretrained"
    )
    before: bool = Field(
        True, description="train a model that does not start from the given weights before its first cut"
    )
    rewind: Literal["none", "start", "shuffled"] = Field(
        "none",
        description="after each cut put survivors back to the start, or to its values in another order (control)",
    )
    warmup_share: float = Field(
        0.1, ge=0, lt=1, description="gradual and ramp: share of the steps before anything goes"
    )
    settle_share: float = Field(0.2, ge=0, lt=1, description="gradual and ramp: share of the steps after the last cut")
    ramp_share: float = Field(
        0.25, gt=0, lt=1, description="ramp: share of the steps before the threshold gets steeper"
    )
    every: int = Field(10, ge=1, description="gradual and ramp: steps between two cuts")
    score_rate: float = Field(1e-2, gt=0, description="learning rate of learned scores or gates")
    penalty: Annotated[str | None, known(PENALTIES)] = Field(None, description="price on the units while they train")
    penalty_weight: float = Field(0.0, ge=0, description="weight of the penalty, a learned saliency's own included")
    delta: bool = Field(False, description="prune the change from the pretrained weights in place of the weights")
    threshold: float = Field(
        0.1, gt=0, lt=1, description="soft-movement: units stay whose sigmoid(score) is above this"
    )
    least: float = Field(0.005, ge=0, lt=1, description="soft-movement: share of each site that stays in any case")
    gate_temperature: float = Field(2.0 / 3, gt=0, description="hard-concrete: beta")
    gate_stretch: Annotated[tuple[float, float], Listed] = Field(
        (-0.1, 1.1), description="hard-concrete: gamma, below 0, and zeta, above 1"
    )
    gate_start: float = Field(2.197, description="hard-concrete: log a before training")
    gate_groups: bool = Field(False, description="hard-concrete: a further gate for each site")
    freeze_embeddings: bool = Field(False, description="leave the embedding tables as they are")
    masks_from: str | None = Field(
        None, description="rounds: the task of the suite on which the masks are found; None is the task itself"
    )
    masked_share: float = Field(
        0.5, ge=0, lt=1, description="restore: share of the training before the removed weights come back"
    )
    step: float = Field(
        0.1, gt=0, lt=1, description="until: share removed a step, of all units with steps 'linear', else of the rest"
    )
    floor: float = Field(0.9, gt=0, le=1, description="until: least quality, as a share of the unpruned model's")
    hold_out: float = Field(0.1, gt=0, lt=1, description="until: share of the training examples that judge quality")
    pick: Literal["good", "random", "bad"] = Field(
        "good", description="until: keep what was found, or as many units by chance, or those of least worth"
    )

    later: ClassVar[frozenset[str]] = frozenset(
        {
            *("unit", "block", "targets", "biases", "saliency", "pooling", "examples", "selector", "schedule", "steps"),
            *("start", "before", "rewind", "warmup_share", "settle_share", "every", "score_rate", "penalty"),
            *("penalty_weight", "delta"),
            *(
                "threshold",
                "least",
                "gate_temperature",
                "gate_stretch",
                "gate_start",
                "gate_groups",
                "freeze_embeddings",
            ),
            *("probes", "ramp_share"),
            *("masks_from", "masked_share", "step", "floor", "hold_out", "pick"),
        }
    )

    @model_validator(mode="after")
    def _arguments_fit_each_other(self) -> Prune:
        if self.warmup_share + self.settle_share >= 1:
            raise ValueError("warmup_share and settle_share leave no step to prune in; their sum must be below 1")
        if self.delta and self.start == "fresh":
            raise ValueError("delta is the change from pretrained weights; start 'fresh' has none")
        if self.rewind != "none" and self.schedule not in ("rounds", "until"):
            raise ValueError(f"rewind belongs to the schedules 'rounds' and 'until', found '{self.schedule}'")
        if self.masks_from is not None:
            refuse_transfer(self)
        if self.delta and self.penalty is not None:
            raise ValueError(f"penalty '{self.penalty}' shortens weights, not their change: leave out delta or penalty")
        self._learning_fits()
        self._ramp_fits()
        return self

    def _ramp_fits(self) -> None:
        if self.schedule != "ramp":
            return
        if self.saliency != "magnitude" or (self.unit != "weight" and self.pooling != "max") or self.delta:
            raise ValueError(
                "schedule 'ramp' compares |w| with a threshold: give saliency 'magnitude', pooling 'max' for units "
                "larger than a weight, and no delta"
            )
        if not self.budget:
            raise ValueError("schedule 'ramp' prunes while it trains, and a budget of 0 trains nothing")
        if not self.warmup_share <= self.ramp_share <= 1 - self.settle_share:
            raise ValueError(
                "ramp_share lies between warmup_share, where the ramp starts, and 1 - settle_share, its end"
            )

    def _learning_fits(self) -> None:
        saliency = SALIENCIES.get(self.saliency)
        learned = isinstance(saliency, Learned)
        if learned and self.schedule != "gradual":
            raise ValueError(f"saliency '{self.saliency}' is learned: give schedule 'gradual', found '{self.schedule}'")
        if learned and not self.budget:
            raise ValueError(f"saliency '{self.saliency}' is learned, and a budget of 0 trains nothing")
        if self.sparsity is None and not (isinstance(saliency, Learned) and saliency.decides):
            raise ValueError(f"sparsity is missing: saliency '{self.saliency}' does not decide by itself how much goes")
        if not (self.gate_stretch[0] < 0 and self.gate_stretch[1] > 1):
            raise ValueError(f"gate_stretch is {list(self.gate_stretch)}; it must reach below 0 and above 1")

    @property
    def target(self) -> float:
        """The share of the units to remove; raises `MethodError` where none was asked for."""
        if self.sparsity is None:
            raise MethodError(f"prune: schedule '{self.schedule}' with saliency '{self.saliency}' needs a sparsity")
        return self.sparsity

    def tasks(self) -> tuple[str, ...]:
        """See `Method`."""
        return () if self.masks_from is None else (self.masks_from,)

    def scores(self) -> bool:
        """See `Method`; the schedule 'until' stops by the task's quality."""
        return self.schedule == "until"

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """See `Method`.

        Raises:
            MethodError: weights that are no longer floating point, a model without such units, or choices that do not
                go together.
        """
        from bench.methods.pruning.run import Pruning
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        if self.start == "given":
            pruned = copy_model(model)
        else:
            refuse_lost_work(model, lab.reference, where=f"prune: start = '{self.start}'")
            adapter = adapter_for(model)
            pruned = lab.fresh(len(adapter.layers(model)), self.start == "source")
        pruning = Pruning(pruned, self, lab, anchors=self._anchors(pruned, lab) if self.delta else None)
        with _still(pruning.model, self.freeze_embeddings):
            SCHEDULES.get(self.schedule).run(pruning)
        return pruning.model.eval()

    def _anchors(self, model: nn.Module, lab: Lab) -> dict[str, Tensor]:
        """The pretrained tensors by name, without those of the head, which pretraining has not seen."""
        from bench.models.adapter import adapter_for

        source = lab.fresh(len(adapter_for(model).layers(model)), True)
        return {name: parameter.detach().clone() for name, parameter in source.named_parameters()}


@contextmanager
def _still(model: nn.Module, frozen: bool) -> Iterator[None]:
    """Inside, the embedding tables of `model` do not train where `frozen` is true."""
    from bench.models.adapter import adapter_for

    tables = [table.weight for table in adapter_for(model).embeddings(model).values()] if frozen else []
    tables = [weight for weight in tables if weight.requires_grad]
    try:
        for weight in tables:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in tables:
            weight.requires_grad_(True)
