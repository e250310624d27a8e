"""Masks that are found on one task and used on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import MethodError

if TYPE_CHECKING:
    from bench.methods.pruning.run import Pruning


def finder_of(pruning: Pruning, task: str) -> Pruning:
    """The pruning that finds the masks on another `task`, of that task's own model.

    Masks are by names of parameters, so the two models may differ in their heads only; else it is a `MethodError`.
    """
    from bench.methods.pruning.run import Pruning
    from bench.models.adapter import adapter_for

    method = pruning.method
    lab = pruning.lab.elsewhere(task)
    depth = len(adapter_for(pruning.model).layers(pruning.model))
    finder = Pruning(lab.fresh(depth, method.start == "source"), method, lab)
    found, own = ({site.name: site.count for site in each.sites} for each in (finder, pruning))
    if found != own:
        differs = min(set(found.items()) ^ set(own.items()))[0]
        raise MethodError(
            f"prune: masks_from = '{task}': a model of that task ({lab.task.kind}) has not the same units "
            f"as one of {pruning.lab.task.name} ({pruning.lab.task.kind}); they differ in {differs}. "
            "Name a task whose models differ in the head only."
        )
    return finder
