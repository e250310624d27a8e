"""The interface of a compression method, and the lab that it works with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BeforeValidator, model_validator

from bench.base.errors import MethodError
from bench.base.registry import Registry
from bench.base.schema import Frozen
from bench.methods.base.choice import Choice, Tabled
from bench.models.roles import ALL_ROLES, CROSS_ROLES, GATE_ROLES, PARTS, ROLES, Part, Role
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.spec.setting import Setting, Training
    from bench.spec.suite import Task
    from bench.training.hooks import Hook
    from bench.training.loop import TrainingLog
    from bench.training.objective import Objective


def _listed(value: object) -> object:
    return [part for part in value.split("+") if part] if isinstance(value, str) else value


Listed = BeforeValidator(_listed)  # lets `query+key` stand for a list, since a list on a command line is a grid


class Method(Frozen):
    """One compression mechanism: the fields are its typed arguments, `compress` its one verb.

    A field that names a plug-in is a choice, see `bench.methods.base.choice`. `saves` is what the mechanism is meant to
    save on the model it is given; each stage is checked against it. Subclasses keep torch out of their module's top
    level, so that listing and validating stay instant.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset()
    last: ClassVar[bool] = False  # whether no other stage can follow, since what it gives no method can change

    @model_validator(mode="after")
    def _choices_fit(self) -> Method:
        for choice in self.choices():
            choice.fits(self)
        return self

    def choices(self) -> list[Choice]:
        """Every choice that was made, with its arguments."""
        return [value for _, value in self if isinstance(value, Choice)]

    def stated(self) -> dict[str, Any]:
        """The arguments that differ from their defaults, as JSON values; a choice as `Choice.table` writes it.

        Keys of artifacts are made of them, so that an argument which is added later changes no key.
        """
        dumped = self.model_dump(mode="json")
        fields = type(self).model_fields
        return {
            name: value.table(stated=True, mode="json") if isinstance(value, Tabled) else dumped[name]
            for name, value in self
            if fields[name].is_required() or value != fields[name].get_default(call_default_factory=True)
        }

    def saving(self) -> frozenset[Saving]:
        """What the mechanism is meant to save with these arguments: `saves`, or the part of it that they leave."""
        return self.saves

    def tasks(self) -> tuple[str, ...]:
        """Other tasks of the suite whose training data are used; keys of artifacts then say which data these were."""
        return ()

    def folders(self) -> tuple[str, ...]:
        """Folders of other models that are used; keys of artifacts then say what is in them."""
        return tuple(dict.fromkeys(folder for choice in self.choices() for folder in choice.folders()))

    def scores(self) -> bool:
        """Whether what is done depends on the task's metrics; keys of artifacts then name them."""
        return False

    def seeded(self) -> bool:
        """Whether another seed may give another result for the same model: by training, a fresh start or random draws.

        True unless a method says otherwise: differences between recipes of which one is seeded are not called on one
        seed, see `bench.analysis.seeds`.
        """
        return True

    def trains(self) -> bool:
        """Whether it trains for a share of the setting's epochs, so that it does nothing if these are 0."""
        return False

    def refusal(self, head: str, device: str) -> str | None:
        """Why it cannot be applied on this machine to models with `head` on `device`; None, by default, if it can.

        Asked before anything is trained.
        """
        del head, device
        return None

    @abstractmethod
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """A new, compressed model; the given one is left bit-equal.

        Raises `MethodError` if the method cannot be applied to this model.
        """


def _nowhere(name: str) -> Lab:
    raise MethodError(f"task '{name}': this call has no suite, so other tasks cannot be used")


@dataclass(frozen=True, kw_only=True)
class Lab:
    """What a method may use: the task's training data, the one training loop, the reference, a seed.

    `reference` is the uncompressed model trained on the task (the teacher of distillation); it must not be changed.
    `fresh(depth, pretrained)` builds a model of `depth` layers that has not seen the reference: the source's own
    pretrained weights with layers spread evenly, or random ones if `pretrained` is False or the source has none.
    `elsewhere(name)` is the lab of another task of the suite, with the same tokenizer and seed; `fresh` builds models
    with that task's head there, and `reference` is one that was never trained on it; `head_is_new` says that its head
    holds nothing yet, as the model's source has none of that kind.
    A method adds to `notes` and `counts` what it used besides (augmented texts, texts of a corpus, teachers): the
    record says it of the stage.
    """

    task: Task
    setting: Setting
    plan: Training
    seed: int
    device: str
    tokenizer: Any
    features: Sequence[Any]  # encoded training examples, see bench.tasks.features.Feature
    reference: nn.Module
    fresh: Callable[[int, bool], nn.Module]
    progress: Callable[[str, float], None]
    examples: Sequence[Any] = ()  # the training examples as read, see bench.tasks.examples.Example
    elsewhere: Callable[[str], Lab] = _nowhere
    folder: Path | None = None  # where what is computed from the task's training data may be kept for later runs
    head_is_new: bool = False
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def train(
        self,
        model: nn.Module,
        *,
        epochs: float | None = None,
        learning_rate: float | None = None,
        objective: Objective | None = None,
        hooks: Sequence[Hook] = (),
    ) -> TrainingLog:
        """Train `model` in place on the task with the suite's plan, or with another budget if given."""
        from bench.tasks.kinds.kind import KINDS
        from bench.training.loop import train

        changes = {"epochs": epochs, "learning_rate": learning_rate}
        plan = self.plan.model_copy(update={key: value for key, value in changes.items() if value is not None})
        return train(
            model,
            self.features,
            kind=KINDS.get(self.task.kind),
            pad_id=self.tokenizer.pad_token_id,
            plan=plan,
            seed=self.seed,
            device=self.device,
            objective=objective,
            hooks=hooks,
            progress=self.progress,
        )


METHODS: Registry[type[Method]] = Registry(
    "method",
    modules=(
        "bench.methods.prune.prune",
        "bench.methods.factorize.factorize",
        "bench.methods.quantize.quantize",
        "bench.methods.quantize.integer",
        "bench.methods.prune.sparsify",
        "bench.methods.share.share",
        "bench.methods.exit.halt",
        "bench.methods.exit.exits",
        "bench.methods.tokens.drop",
        "bench.methods.distill.distill",
        "bench.methods.replace.replace",
        "bench.methods.shrink.shallow",
        "bench.methods.shrink.shrink",
        "bench.methods.shrink.layerdrop",
        "bench.methods.answer.answer",
        "bench.methods.export.export",
    ),
    group="bench.methods",
)


__all__ = ["ALL_ROLES", "CROSS_ROLES", "GATE_ROLES", "PARTS", "ROLES", "Part", "Role", "Target"]

Target = Role | Literal["embedding"]
