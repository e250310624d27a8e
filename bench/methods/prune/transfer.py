"""Masks and pruned weights that come from another task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from bench.methods.prune.prune import Prune
    from bench.methods.prune.run import Pruning


def check_transfer(argument: str, method: Prune) -> None:
    """Raise `ValueError` where something that `argument` asks of another task cannot be had or has no place here."""
    if method.start == "given":
        raise ValueError(f"{argument} begins anew, on the other task and on this one: give start 'source' or 'fresh'")
    if method.alpha or method.delta:
        raise ValueError(f"{argument} goes with neither alpha (the other task has no teacher) nor delta")


def finder_of(pruning: Pruning, task: str) -> Pruning:
    """The pruning that finds the masks on another `task`, of that task's own model.

    Masks are by names of parameters, so the two models may differ in their heads only; else it is a `MethodError`.
    """
    from bench.methods.prune.run import Pruning
    from bench.models.adapter import adapter_for

    method = pruning.method
    lab = pruning.lab.elsewhere(task)
    depth = len(adapter_for(pruning.model).layers(pruning.model))
    finder = Pruning(lab.fresh(depth, method.start == "source"), method, lab)
    found, own = ({site.name: site.count for site in each.sites} for each in (finder, pruning))
    if found != own:
        differs = min(set(found.items()) ^ set(own.items()))[0]
        raise MethodError(
            f"prune: nothing can come from '{task}': a model of that task ({lab.task.kind}) has not the same units "
            f"as one of {pruning.lab.task.name} ({pruning.lab.task.kind}); they differ in {differs}. "
            "Name a task whose models differ in the head only."
        )
    return finder


def carry(finder: Pruning, pruning: Pruning) -> None:
    """Put the weights that `finder` ended with, all but those of the head, and its masks on `pruning`."""
    own, theirs = pruning.model.state_dict(), finder.model.state_dict()
    below = f"{pruning.model.base_model_prefix}."
    pruning.model.load_state_dict(own | {name: theirs[name] for name in own.keys() & theirs if name.startswith(below)})
    pruning.keep(finder.masks)
