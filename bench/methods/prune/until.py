"""Prune step by step until quality falls too far; then keep what was found, or as much of something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bench.base.errors import DataError, MethodError
from bench.methods.prune.schedules import SCHEDULES, Stepwise

if TYPE_CHECKING:
    from bench.methods.base.method import Lab
    from bench.methods.prune.picking import Worth
    from bench.methods.prune.run import Pruning
    from bench.tasks.examples import Example


@SCHEDULES.register("until")
class Until(Stepwise):
    """Remove `step` of the units at a time, with new scores each time, as long as quality is at least `floor`.

    The stop rule of Prasanna et al. 2020 (arXiv:2005.00561, §3): the last masks that met it are kept, and nothing is
    trained in between. Quality is measured on `hold_out` of the training examples, which neither the training before
    the first step nor the scores use, not on the validation split, on which results are reported; a given model
    has seen them. `sparsity` is the upper limit. Then `pick` keeps the good units, as many random units, or the worst.
    With a `rewind`, these are reset to the start and trained with all examples; without, they stay unchanged. A
    model that does not start from the given weights gets half of the budget for each of the two trainings.
    """

    step: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share removed per step: of all units (steps 'linear') or of the remaining units ('geometric')",
    )
    floor: float = Field(0.9, gt=0, le=1, description="minimum quality, as a share of the unpruned model's")
    hold_out: float = Field(0.1, gt=0, lt=1, description="share of the training examples held out to measure quality")
    pick: Literal["good", "random", "bad"] = Field(
        "good",
        description="keep the units that were found, as many random units, or the least important units (controls)",
    )

    def seeded(self) -> bool:
        """Which examples are held out is drawn."""
        return True

    def scores(self) -> bool:
        """It stops by the task's quality."""
        return True

    def run(self, pruning: Pruning) -> None:
        """Raises `MethodError` for too few examples or a model whose quality is not above 0."""
        from bench.methods.prune.picking import picked

        method, everything = pruning.method, pruning.lab
        begins = method.start != "given" and self.before
        share = 1.0 / (1 + begins)
        start = pruning.snapshot()
        pruning.lab, held = divided(everything, self.hold_out)
        if begins:
            pruning.train(share)
        unpruned = pruning.snapshot()
        worth = self._search(pruning, held)
        pruning.lab = everything
        pruning.masks = picked(
            pruning.sites, pruning.masks, worth, pick=self.pick, scope=method.scope, seed=everything.seed
        )
        if self.rewind == "none":
            pruning.rewind(unpruned)
            return
        pruning.rewind(start, shuffle=everything.seed if self.rewind == "shuffled" else None)
        pruning.train(share)

    def _search(self, pruning: Pruning, held: list[Example]) -> Worth:
        """Cut while the quality holds; leaves the last masks that met it in `pruning`, says what units were worth."""
        from bench.methods.prune.picking import Worth

        pruning.model.to(pruning.lab.device).eval()
        full = quality(pruning, held)
        if full is None or full <= 0:
            said = "undefined" if full is None else f"{full:.4g}"
            raise MethodError(
                f"prune: the unpruned model's quality on {len(held)} held-out examples is {said}; a share of it has "
                f"no meaning. Train longer or hold out more examples."
            )
        worth = Worth(pruning.masks)
        for target in self._targets(pruning.method.target):
            worth.scored(pruning.scores(), pruning.masks)
            before = pruning.masks
            pruning.cut(target)
            found = quality(pruning, held)
            if found is None or found < self.floor * full:
                pruning.masks = before
                return worth
            worth.removed(before, pruning.masks)
        worth.scored(pruning.scores(), pruning.masks)
        return worth

    def _targets(self, final: float) -> Iterator[float]:
        """The share removed after each step, up to `final`."""
        done, gone = 0, 0.0
        while gone < final:
            done += 1
            reached = done * self.step if self.steps == "linear" else 1.0 - (1.0 - self.step) ** done
            gone = min(final, reached)
            yield gone


def divided(lab: Lab, share: float) -> tuple[Lab, list[Example]]:
    """The lab without `share` of its training examples, drawn by its seed, and these examples."""
    import torch

    count = round(share * len(lab.examples))
    if not 1 <= count < len(lab.examples):
        raise MethodError(
            f"prune: the schedule 'until' holds out {count} of {len(lab.examples)} training examples; it needs at "
            f"least one to hold out and one to train on. Change hold_out or give more examples."
        )
    order = torch.randperm(len(lab.examples), generator=torch.Generator().manual_seed(lab.seed)).tolist()
    held = set(order[:count])
    features = [feature for feature in lab.features if not held & set(feature.owners or (feature.example,))]
    return replace(lab, features=features), [lab.examples[index] for index in sorted(held)]


def quality(pruning: Pruning, examples: list[Example]) -> float | None:
    """The mean of the task's metrics on `examples`, as its quality counts them; None if one is undefined."""
    from bench.tasks.evaluate import context_of, predict
    from bench.tasks.kinds.kind import KINDS

    lab = pruning.lab
    kind = KINDS.get(lab.task.kind)
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
        context = context_of(lab.task, examples, chosen_on=lambda: (predictions, examples))
        found = kind.score(predictions, examples, lab.task.metrics, context)
    except DataError:  # such as the correlation of a constant, which a pruned model may well give
        return None
    return sum(kind.metric(metric).as_quality(found[metric]) for metric in lab.task.metrics) / len(lab.task.metrics)
