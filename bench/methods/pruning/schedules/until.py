"""Prune step by step until quality falls too far; then keep what was found, or as much of something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.errors import DataError, MethodError
from bench.methods.pruning.schedule import SCHEDULES, Schedule

if TYPE_CHECKING:
    from bench.methods.method import Lab
    from bench.methods.prune import Prune
    from bench.methods.pruning.picking import Worth
    from bench.methods.pruning.run import Pruning
    from bench.tasks.examples import Example


class Until(Schedule):
    """Remove `step` of the units at a time, scored anew each time, while quality stays at `floor` or above.

    The stop rule of Prasanna et al. 2020 (arXiv:2005.00561, §3): the last masks that met it are kept, and nothing is
    trained on the way. Quality is measured on `hold_out` of the training examples, which neither the training before
    the first step nor the scores see, in place of the validation split, on which results are reported; a given model
    has seen them. `sparsity` is the most that may go. Then `pick` keeps the good units, as many by chance or the worst.
    With a `rewind` these are put back to the start and trained with all examples; without, they stay as they are. A
    model that does not start from the given weights has half of the budget for each of the two trainings.
    """

    def run(self, pruning: Pruning) -> None:
        """See `Schedule`; raises `MethodError` for too few examples or a model whose quality is not above 0."""
        from bench.methods.pruning.picking import picked

        method, everything = pruning.method, pruning.lab
        begins = method.start != "given" and method.before
        share = 1.0 / (1 + begins)
        start = pruning.snapshot()
        pruning.lab, held = divided(everything, method.hold_out)
        if begins:
            pruning.train(share)
        unpruned = pruning.snapshot()
        worth = _search(pruning, held)
        pruning.lab = everything
        pruning.masks = picked(pruning.sites, pruning.masks, worth, method=method, seed=everything.seed)
        if method.rewind == "none":
            pruning.rewind(unpruned)
            return
        pruning.rewind(start, shuffle=everything.seed if method.rewind == "shuffled" else None)
        pruning.train(share)


def divided(lab: Lab, share: float) -> tuple[Lab, list[Example]]:
    """The lab without `share` of its training examples, drawn by its seed, and these examples."""
    import torch

    count = round(share * len(lab.examples))
    if not 1 <= count < len(lab.examples):
        raise MethodError(
            f"prune: the schedule 'until' holds out {count} of {len(lab.examples)} training examples, and needs at "
            "least one there and one to train on. Give another hold_out or more examples."
        )
    order = torch.randperm(len(lab.examples), generator=torch.Generator().manual_seed(lab.seed)).tolist()
    held = set(order[:count])
    features = [feature for feature in lab.features if not held & set(feature.owners or (feature.example,))]
    return replace(lab, features=features), [lab.examples[index] for index in sorted(held)]


def quality(pruning: Pruning, examples: list[Example]) -> float | None:
    """The mean of the task's metrics on `examples`, as its quality counts them; None where one is undefined."""
    from bench.tasks.evaluate import predict
    from bench.tasks.kinds.kind import KINDS
    from bench.tasks.metrics.metric import as_quality

    lab = pruning.lab
    predictions = predict(
        pruning.model,
        lab.tokenizer,
        examples,
        task=lab.task,
        max_length=lab.task.max_length or lab.setting.max_length,
        token_budget=lab.setting.evaluation_tokens,
        device=lab.device,
    )
    try:
        found = KINDS.get(lab.task.kind).score(predictions, examples, lab.task.metrics)
    except DataError:  # such as the correlation of a constant, which a pruned model may well give
        return None
    return sum(as_quality(metric, found[metric]) for metric in lab.task.metrics) / len(lab.task.metrics)


def _search(pruning: Pruning, held: list[Example]) -> Worth:
    """Cut while the quality holds; leaves the last masks that met it in `pruning` and says what units were worth."""
    from bench.methods.pruning.picking import Worth

    pruning.model.to(pruning.lab.device).eval()
    full = quality(pruning, held)
    if full is None or full <= 0:
        said = "undefined" if full is None else f"{full:.4g}"
        raise MethodError(
            f"prune: the unpruned model's quality on {len(held)} held-out examples is {said}; a share of it means "
            "nothing. Train longer or hold out more."
        )
    worth = Worth(pruning.masks)
    for target in _targets(pruning.method):
        worth.scored(pruning.scores(), pruning.masks)
        before = pruning.masks
        pruning.cut(target)
        found = quality(pruning, held)
        if found is None or found < pruning.method.floor * full:
            pruning.masks = before
            return worth
        worth.removed(before, pruning.masks)
    worth.scored(pruning.scores(), pruning.masks)
    return worth


def _targets(method: Prune) -> Iterator[float]:
    """The share that is gone after each step, up to `sparsity`."""
    done, gone = 0, 0.0
    while gone < method.target:
        done += 1
        reached = done * method.step if method.steps == "linear" else 1.0 - (1.0 - method.step) ** done
        gone = min(method.target, reached)
        yield gone


SCHEDULES.register("until")(Until())
