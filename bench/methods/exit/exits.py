"""Internal classifiers after every layer: trained by `exits`, used by `exit-at`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Chosen
from bench.methods.base.method import METHODS, Lab, Method
from bench.methods.base.trained import TrainedMethod
from bench.methods.exit.criteria import CRITERIA, Criterion
from bench.methods.exit.losses import EXIT_LOSSES, ExitLoss
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.models.adapter import Adapter
    from bench.training.hooks import Hook
    from bench.training.loop import TrainingLog
    from bench.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class _ExitLab(Lab):
    """A lab that trains a model as `given` does, with the objective at every exit."""

    given: Lab
    loss: ExitLoss

    @classmethod
    def of(cls, lab: Lab, loss: ExitLoss) -> _ExitLab:
        return cls(**{each.name: getattr(lab, each.name) for each in fields(lab)}, given=lab, loss=loss)

    @override
    def train(
        self,
        model: nn.Module,
        *,
        epochs: float | None = None,
        learning_rate: float | None = None,
        objective: Objective | None = None,
        hooks: Sequence[Hook] = (),
    ) -> TrainingLog:
        from bench.training.exits import EveryExit
        from bench.training.objective import Objective

        inner, extra = objective or Objective(), self.loss.diversity_weight()
        every = EveryExit(inner, self.loss.weights, diversity_weight=extra)
        return self.given.train(
            model,
            epochs=epochs,
            learning_rate=learning_rate,
            objective=Objective(terms=((1.0, every),)),
            hooks=[*hooks, every],
        )


@METHODS.register("exits")
class TrainExits(TrainedMethod):
    """Put a classifier after every layer and train all of them; no input leaves yet, see `exit-at`.

    The classifier after the last layer is the model's own. Each other one starts with a copy of the model's pooler, or
    shares the model's (PABEE), and with a drawn output map. Nothing is saved by this stage: the model grows by its
    classifiers, and one training then serves every criterion and threshold.
    """

    pooler: Literal["own", "shared"] = Field("own", description="a pooler for each exit, or the model's for all")
    loss: Annotated[ExitLoss, Chosen(EXIT_LOSSES)] = Field(
        default_factory=EXIT_LOSSES.default("by-depth"), description="how the exits' losses are weighted"
    )
    separate: bool = Field(
        False, description="train the exits only, and leave the given model and its own classifier as they are"
    )

    @model_validator(mode="after")
    def _exits_learn_something(self) -> TrainExits:
        if all(term.what.layered and not term.what.of_head for term in self.terms.working.values()):
            raise ValueError(
                f"terms.{next(iter(self.terms.working))} compares layers, from which exits learn nothing. Give labels "
                f"or logits a weight as well"
            )
        return self

    @override
    def seeded(self) -> bool:
        """True also without a budget: the classifiers are drawn."""
        return True

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` if the model or the task cannot have exits.

        It has more than an encoder that loops over a list of at least 2 layers, has exits or halts already, or its task
        is not answered from the first token's state.
        """
        from bench.models.adapter import adapter_for
        from bench.models.exits import grow_exits
        from bench.models.modules import copy_model

        made = copy_model(model)
        self._refuse_others(made, adapter_for(made), lab)
        before = {id(parameter): parameter.requires_grad for parameter in made.parameters()}
        exits = grow_exits(made, shared=self.pooler == "shared", seed=lab.seed)
        exits.equilibrium = self.loss.equilibrium
        try:
            for parameter in made.parameters():
                given = id(parameter) in before
                parameter.requires_grad_(before.get(id(parameter), True) and not (given and self.separate))
            if self.budget:
                self._learn(made, lab)
        finally:
            for parameter in made.parameters():
                parameter.requires_grad_(before.get(id(parameter), True))
            exits.equilibrium = False
        return made.eval()

    def _learn(self, model: nn.Module, lab: Lab) -> None:
        """Train with the terms of outputs at every exit, and with those that read layers once."""
        from bench.training.terms.guidance import HEADS, LAYERS

        everywhere = _ExitLab.of(lab, self.loss)
        terms = self.terms.working.values()
        if all(term.plain for term in terms):
            self.tune(model, everywhere)
            return
        layered = self.guidance(lab, focus=LAYERS)
        self.tune(model, everywhere, focus=HEADS, hooks=[layered], terms=[(1.0, layered)] if layered.layered else [])

    def _refuse_others(self, model: nn.Module, adapter: Adapter, lab: Lab) -> None:
        from bench.layers.layer import StoredStack
        from bench.tasks.kinds.kind import KINDS

        name, kind = type(model).__name__, KINDS.get(lab.task.kind)
        if not kind.exits:
            raise MethodError(
                f"exits: a {kind.name} task cannot exit early: only kinds whose answer is read from the first token's "
                f"state of one input can, which are {', '.join(each for each, other in KINDS.items() if other.exits)}"
            )
        if (
            adapter.stacks(model) != ("encoder",)
            or not adapter.takes_stack(model.config)
            or adapter.head_names(model) is None
        ):
            raise MethodError(
                f"exits: {name} cannot exit early: only an encoder that loops over a list of layers, with a head on "
                f"its first token, can. ALBERT and LSTMs run their layers in their own loops, a pre-norm encoder "
                f"has a norm between its last layer and its head, and ModernBERT and a DeBERTa with a convolution give "
                f"their layers different inputs."
            )
        if isinstance(model.get_submodule(adapter.stack_name(model)), StoredStack):
            raise MethodError(f"exits: the layers of this {name} already halt, exit or run in another stored form")
        if adapter.depth(model) < 2:
            raise MethodError(f"exits: {name} has one layer, so there is nothing to leave early")
        if model.config.num_labels == 1 and not self.loss.regresses:  # type: ignore[union-attr]
            raise MethodError(f"exits: loss '{self.loss.called}' needs classes, but the model gives one score")


@METHODS.register("exit-at")
class ExitAt(Method):
    """Choose when inputs leave a model that `exits` trained; nothing is trained.

    Computation, time and layers are means over the evaluation set's real exits. Criterion "layer" cuts the model at one
    exit instead: what is above is gone, and the result is an ordinary model.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"macs", "time"})

    criterion: Annotated[Criterion, Chosen(CRITERIA)] = Field(
        default_factory=CRITERIA.default("entropy"), description="when an input leaves"
    )

    @override
    def saving(self) -> frozenset[Saving]:
        return self.saves | {"bytes"} if self.criterion.cuts else self.saves

    @override
    def seeded(self) -> bool:
        return self.criterion.seeded()

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a model without exits, a layer that it does not have, or a criterion of classes."""
        from bench.layers.exits import exits_of
        from bench.models.adapter import adapter_for
        from bench.models.exits import cut_at_exit
        from bench.models.modules import copy_model

        made = copy_model(model)
        exits, name = exits_of(made), type(made).__name__
        if exits is None:
            raise MethodError(f"exit-at: this {name} has no exits. Train them in an earlier stage (method exits)")
        if made.config.num_labels == 1 and not self.criterion.regresses:  # type: ignore[union-attr]
            raise MethodError(
                f"exit-at: criterion '{self.criterion.called}' needs classes, but the model gives one score. Choose "
                f"patience or layer"
            )
        exits.rule = self.criterion.rule()
        layer, depth = self.criterion.depth(), adapter_for(made).depth(made)
        if layer is not None:
            if layer > depth:
                raise MethodError(f"exit-at: layer is {layer}, but this {name} has {depth} layers")
            cut_at_exit(made, layer)
        return made.eval()
