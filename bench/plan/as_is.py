"""Models that are used as they are, without training: whether all their weights mean something for a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError, SuiteError
from bench.models.checkpoint import CheckpointSource
from bench.models.label_names import FRESH
from bench.models.source import ModelSource
from bench.plan.recipes import methods_of
from bench.spec.recipe import Recipe
from bench.spec.suite import Task
from bench.tasks.kinds.kind import KINDS

if TYPE_CHECKING:
    from torch import nn

    from bench.models.stored import Held

_SHOWN = 3


class UntrainedError(ModelError):
    """A model that cannot be used as it is, since a part of it would be new, so that it must be trained first."""


def built_as_is(
    source: ModelSource, task: Task, held: Held | None, *, settings: Mapping[str, Any] = MappingProxyType({})
) -> nn.Module:
    """The model of `source` with the trained head of its files, its outputs in the order of the task's labels.

    Args:
        source: the model.
        task: gives the head and, if it has labels, their order.
        held: what `source.held` gave for this task.
        settings: of the head, besides the task's own.

    Raises:
        UntrainedError: the head is new, of another task or set aside.
        ModelError: it is unknown which output is which label.
    """
    where = f"{source.name} as it is, on task {task.name}"
    if not isinstance(source, CheckpointSource):
        raise UntrainedError(f"{where}: a built-in model is untrained. Give a checkpoint that was trained on the task.")
    if source.outputs == FRESH:
        raise UntrainedError(f"{where}: --labels {FRESH[0]} asks for a new head, which must be trained")
    if held is not None and held.set_aside:
        raise UntrainedError(
            f"{where}: by the architecture that its config.json names, its head is of another task. Train a new one "
            "(leave out --as-is), or name the right architecture there."
        )
    kind = KINDS.get(task.kind)
    model = source.build(
        head=kind.head,
        labels=task.labels or None,
        tokenizer=source.tokenizer(lambda: ()),
        seed=0,
        settings={**kind.head_settings(task), **settings},
    )
    new = source.new_weights(model)
    if new:
        shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
        listed = ", ".join(f"'{name}' {shapes[name]}" for name in new[:_SHOWN])
        more = f" and {len(new) - _SHOWN} more" if len(new) > _SHOWN else ""
        labels = f" with {len(task.labels)} labels" if task.labels else ""
        raise UntrainedError(
            f"{where}: its files hold no trained head for a {task.kind} task{labels}: {listed}{more} would be new. "
            "Train it (leave out --as-is, or set training.epochs above 0), or give a checkpoint that was trained on "
            "the task."
        )
    return model


def refuse_training(recipes: Iterable[Recipe], task: Task) -> None:
    """Raise `SuiteError` for a recipe that trains for a share of the setting's epochs, which are 0."""
    for recipe in recipes:
        trained = [
            stage.method for stage, method in zip(recipe.stages, methods_of(recipe), strict=True) if method.trains()
        ]
        if trained:
            raise SuiteError(
                f"{recipe.name}: its stage '{trained[0]}' trains for a share of training.epochs, which are 0 on task "
                f"{task.name}. Leave the epochs as they are and use --as-is: then the reference is not trained, and "
                "recipes are. Or leave out this recipe."
            )
