"""Masks that are found on one task and used on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import MethodError

if TYPE_CHECKING:
    from bench.methods.prune import Prune
    from bench.methods.pruning.run import Pruning


def refuse_transfer(method: Prune) -> None:
    """Raise `ValueError` where `masks_from` does not go with the other arguments."""
    if method.schedule != "rounds" or method.rewind == "none" or method.start == "given":
        raise ValueError(
            "masks_from puts the masks of another task on the start: it needs schedule 'rounds', start 'source' or "
            "'fresh', and a rewind"
        )
    if method.alpha or method.delta:
        raise ValueError("masks_from goes with neither alpha (the other task has no teacher) nor delta")


def finder_of(pruning: Pruning) -> Pruning:
    """The pruning that finds the masks: `pruning` itself, or with `masks_from` one of the other task's own model.

    Masks are by names of parameters, so the two models may differ in their heads only; else it is a `MethodError`.
    """
    from bench.methods.pruning.run import Pruning
    from bench.models.adapter import adapter_for

    method = pruning.method
    if method.masks_from is None:
        return pruning
    lab = pruning.lab.elsewhere(method.masks_from)
    depth = len(adapter_for(pruning.model).layers(pruning.model))
    finder = Pruning(lab.fresh(depth, method.start == "source"), method, lab)
    found, own = ({site.name: site.count for site in each.sites} for each in (finder, pruning))
    if found != own:
        differs = min(set(found.items()) ^ set(own.items()))[0]
        raise MethodError(
            f"prune: masks_from = '{method.masks_from}': a model of that task ({lab.task.kind}) has not the same units "
            f"as one of {pruning.lab.task.name} ({pruning.lab.task.kind}); they differ in {differs}. "
            "Name a task whose models differ in the head only."
        )
    return finder
