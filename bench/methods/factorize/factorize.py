"""Low-rank factorization: solver x rank policy x targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.methods.base.choice import Chosen
from bench.methods.base.method import METHODS, ROLES, Lab, Listed, Target
from bench.methods.base.trained import TrainedMethod
from bench.methods.factorize.ranks import EnergyRank, FixedRank, LossBudget, ParameterBudget
from bench.methods.factorize.solver import SOLVERS, Factorization, RankPolicy, Solver
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

_POLICIES = ("ratio", "rank", "energy", "parameters", "loss")


@METHODS.register("factorize")
class Factorize(TrainedMethod):
    """Replace matrices [m, n] by two of rank r: r (m + n) weights and MACs per token instead of m n.

    `solver` computes the factors, `targets` are the matrices, and the rank is set by exactly one of `ratio`, `rank`,
    `energy`, `parameters` and `loss`. The default is the truncated SVD (Eckart & Young 1936).
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    solver: Annotated[Solver, Chosen(SOLVERS)] = Field(
        default_factory=SOLVERS.default("svd"), description="the algorithm that computes the factors"
    )
    ratio: float | None = Field(None, gt=0, le=1, description="rank r as a share of the full rank min(m, n)")
    rank: int | None = Field(None, ge=1, description="rank r, the same for every matrix")
    energy: float | None = Field(None, gt=0, le=1, description="least share of the squared singular values to keep")
    targets: Annotated[tuple[Target, ...], Listed] = Field(
        ROLES, min_length=1, description="which matrices, by role, or 'embedding'; on a command line: query+key"
    )
    budget: float = Field(
        1.0 / 3, ge=0, le=100, description="fine-tuning epochs as a share of the suite's; 0 means none"
    )
    parameters: float | None = Field(
        None, gt=0, lt=1, description="maximum number of weights of all factors, as a share of the replaced matrices"
    )
    loss: float | None = Field(
        None, gt=0, le=10, description="maximum relative increase of the training loss on the calibration examples"
    )
    calibration: int = Field(256, ge=1, description="number of training examples for solver drone and argument loss")
    start: Literal["given", "fresh"] = Field(
        "given", description="'fresh' factorizes a model with random weights, which is then trained from scratch"
    )

    @model_validator(mode="after")
    def _one_way_to_set_the_rank(self) -> Factorize:
        given = [name for name in _POLICIES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of ratio, rank, energy, parameters and loss (found {', '.join(given) or 'none'})"
            )
        return self

    @override
    def saving(self) -> frozenset[Saving]:
        """A narrow embedding saves bytes, and costs a product that a table look-up does not have."""
        return frozenset({"bytes"}) if set(self.targets) == {"embedding"} else self.saves

    @override
    def seeded(self) -> bool:
        """True also without a budget if weights are drawn."""
        return super().seeded() or self.start == "fresh" or self.solver.seeded()

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a rank that would save nothing, or for what the solver cannot replace.

        These are layers that are no longer a plain matrix, targets without such a form, and a fresh start after another
        stage. Raises `ModelError` for a role that the architecture does not have.
        """
        smaller = self._begun(model, lab)
        self.solver.apply(self._work(smaller, model, lab))
        self.tune(smaller, lab)
        return smaller

    def _work(self, model: nn.Module, given: nn.Module, lab: Lab) -> Factorization:
        return Factorization(
            model=model,
            given=given,
            lab=lab,
            targets=self.targets,
            ranks=self._policy(),
            examples=self.calibration,
        )

    def _begun(self, model: nn.Module, lab: Lab) -> nn.Module:
        """The model to change: a copy, or one of the same form that has learnt nothing."""
        from bench.methods.base.depth import refuse_lost_work
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        if self.start == "given":
            return copy_model(model)
        refuse_lost_work(model, lab.reference, where="factorize: start = 'fresh'")
        return lab.fresh(len(adapter_for(model).layers(model)), False)

    def _policy(self) -> RankPolicy:
        if self.energy is not None:
            return EnergyRank(energy=self.energy)
        if self.parameters is not None:
            return ParameterBudget(parameters=self.parameters)
        if self.loss is not None:
            return LossBudget(loss=self.loss)
        return FixedRank(rank=self.rank, ratio=self.ratio)
