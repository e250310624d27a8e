"""Pruning schedules, when units are removed and what is trained in between: rounds, prune and restore, or a curve."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices
from bench.methods.prune.arguments import Curve, PruneArguments
from bench.methods.prune.learned import Learned

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning


class Schedule(Choice):
    """Drives one pruning from its start to its final masks; fields are its arguments."""

    def tasks(self) -> tuple[str, ...]:
        """Other tasks of the suite whose training data are used."""
        return ()

    def scores(self) -> bool:
        """Whether it depends on the task's metrics."""
        return False

    @abstractmethod
    def run(self, pruning: Pruning) -> None:
        """Score, cut and train until `pruning.method.sparsity` is reached and the budget is spent."""


class Stepwise(Schedule):
    """Cuts several times, between trainings or without any."""

    steps: Literal["geometric", "linear"] = Field(
        "geometric",
        description="geometric: each round removes a share of the remaining units; linear: a share of all units",
    )
    rewind: Literal["none", "start", "shuffled"] = Field(
        "none", description="rewind the remaining weights to their start values, or to shuffled start values (control)"
    )
    before: bool = Field(
        True, description="if the model does not start from the given weights, train it before the first round"
    )

    def seeded(self) -> bool:
        """The other order is drawn."""
        return self.rewind == "shuffled"


class Continuous(Schedule):
    """Cuts while the model trains."""

    warmup_share: float = Field(0.1, ge=0, lt=1, description="share of the steps before pruning starts")
    settle_share: float = Field(0.2, ge=0, lt=1, description="share of the steps after pruning ends")
    every: int = Field(10, ge=1, description="steps between two mask updates")

    @model_validator(mode="after")
    def _a_step_is_left(self) -> Continuous:
        if self.warmup_share + self.settle_share >= 1:
            raise ValueError("warmup_share and settle_share leave no step for pruning; their sum must be below 1")
        return self


SCHEDULES: Choices[Schedule] = Choices(
    "schedule",
    modules=("bench.methods.prune.schedules", "bench.methods.prune.ramp", "bench.methods.prune.until"),
    group="bench.schedules",
)


@SCHEDULES.register("rounds")
class Rounds(Stepwise):
    """`rounds` times prune, then train for an equal part of the budget; one round is one-shot pruning.

    The remaining share falls by the same factor in each round ("geometric": Han et al. 2015; Frankle and Carbin 2019),
    or the removed share rises by the same amount ("linear": Chen et al. 2020). A model that does not start from the
    given weights is first trained for one more part of the budget. `rewind` resets the remaining weights to the start
    after each round, bit for bit (the lottery ticket), or to shuffled start values, its control. With `masks_from`, all
    but the last training is done on another task, and its masks are applied to the start.
    """

    rounds: int = Field(1, ge=1, le=100, description="number of prune-retrain rounds")
    masks_from: str | None = Field(
        None, description="the task of the suite on which the masks are found; None means this task"
    )

    @override
    def fits(self, method: PruneArguments) -> None:
        if self.masks_from is None:
            return
        check_transfer("masks_from", method)
        if self.rewind == "none":
            raise ValueError("masks_from applies the masks of another task to the start weights, so it needs rewind")

    @override
    def tasks(self) -> tuple[str, ...]:
        return () if self.masks_from is None else (self.masks_from,)

    @override
    def run(self, pruning: Pruning) -> None:
        method = pruning.method
        begins = method.start != "given" and self.before
        share = 1.0 / (self.rounds + begins)
        rewinds = self.rewind != "none"
        finder = pruning if self.masks_from is None else finder_of(pruning, self.masks_from)
        start = finder.snapshot() if rewinds else {}
        if begins:
            finder.train(share)
        for done in range(1, self.rounds + 1):
            finder.cut(sparsity_after(done, self.rounds, final=method.target, steps=self.steps))
            if rewinds:
                finder.rewind(start, shuffle=self._order(finder, done))
            if done < self.rounds:
                finder.train(share)
        if finder is not pruning:
            pruning.masks = finder.masks
            pruning.rewind(pruning.snapshot(), shuffle=self._order(pruning, self.rounds))
        pruning.train(share)

    def _order(self, pruning: Pruning, done: int) -> int | None:
        """The seed of the order of the control "shuffled" after so many rounds."""
        return pruning.lab.seed + done if self.rewind == "shuffled" else None


def sparsity_after(done: int, rounds: int, *, final: float, steps: str) -> float:
    """The share removed after `done` of `rounds` rounds, which reach `final`."""
    if steps == "linear":
        return final * done / rounds
    return 1.0 - float((1.0 - final) ** (done / rounds))


@SCHEDULES.register("restore")
class Restore(Schedule):
    """Prune once and train for `masked_share` of the budget (half), then unmask and train all weights for the rest.

    Restored weights start at zero (Wang et al. 2020, rejuvenation; Han et al. 2017, arXiv:1607.04381, dense-sparse-
    dense). The result is as large as the given model.
    """

    masked_share: float = Field(
        0.5, ge=0, lt=1, description="share of the training before the removed weights are restored"
    )

    @override
    def run(self, pruning: Pruning) -> None:
        masked = self.masked_share
        pruning.cut(pruning.method.target)
        pruning.train(masked)
        pruning.keep({name: mask.fill_(True) for name, mask in pruning.masks.items()})
        pruning.train(1.0 - masked)


@SCHEDULES.register("gradual")
class Gradual(Continuous):
    """The remaining share falls from 1 to its final value by a cubic (Zhu and Gupta 2017, arXiv:1710.01878, eq. 1).

    Nothing is removed during the first `warmup_share` and the last `settle_share` of the steps. A
    computed saliency is recomputed every `every` steps; a learned one trains its scores throughout.

    With `weights_from`, all of this is done on another task. Its final weights and masks are then transferred, but
    not the head, and trained on this task with fixed masks (Gordon et al. 2020, arXiv:2002.08307, §3).
    """

    weights_from: str | None = Field(
        None, description="the task of the suite on which the weights are pruned; None means this task"
    )
    afterwards: float = Field(
        1.0,
        ge=0,
        le=100,
        description="with weights_from: training on this task, relative to the training on the other task",
    )

    @override
    def fits(self, method: PruneArguments) -> None:
        if self.weights_from is not None:
            check_transfer("weights_from", method)
        elif self.afterwards != type(self).model_fields["afterwards"].default:
            raise ValueError("afterwards needs weights_from; give both")

    @override
    def tasks(self) -> tuple[str, ...]:
        return () if self.weights_from is None else (self.weights_from,)

    @override
    def run(self, pruning: Pruning) -> None:
        if self.weights_from is None:
            self._prune(pruning)
            return
        finder = finder_of(pruning, self.weights_from)
        self._prune(finder)
        carry(finder, pruning)
        pruning.train(self.afterwards)

    def _prune(self, pruning: Pruning) -> None:
        from bench.methods.prune.cutting import Cutting

        warmup, settle = self.warmup_share, self.settle_share
        saliency = pruning.saliency
        if isinstance(saliency, Learned):
            saliency.train(pruning, cubic(1.0, warmup=warmup, settle=settle), settle=settle)
        else:
            target = pruning.method.target
            curve = cubic(target, warmup=warmup, settle=settle)
            pruning.train(1.0, hooks=[Cutting(pruning, curve, every=self.every)], masked=False)
            pruning.cut(target)


def cubic(final: float, *, warmup: float, settle: float) -> Curve:
    """The share removed at `step` of `total`: final (1 - (1 - t)^3), t from 0 after the warm-up to 1 before settling.

    Movement pruning's schedule (Sanh et al. 2020, arXiv:2005.07683, appendix A): half way an eighth of the gap is left.
    """

    def at(step: int, total: int) -> float:
        begin, end = warmup * total, (1.0 - settle) * total
        if step < begin:
            return 0.0
        if step >= end:
            return final
        return final * (1.0 - (1.0 - (step - begin) / (end - begin)) ** 3)

    return at


def check_transfer(argument: str, method: PruneArguments) -> None:
    """Raise `ValueError` if something that `argument` asks of another task cannot be had or has no place here."""
    if method.start == "given":
        raise ValueError(f"{argument} trains from the start on both tasks, so it needs start 'source' or 'fresh'")
    if method.terms.taught or method.delta:
        raise ValueError(
            f"{argument} cannot be combined with terms that need a teacher, which the other task lacks, or with delta"
        )


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
            f"prune: masks and weights of '{task}' cannot be used: a model of that task ({lab.task.kind}) has other "
            f"units than one of {pruning.lab.task.name} ({pruning.lab.task.kind}); they differ in {differs}. "
            "Choose a task whose models differ in the head only."
        )
    return finder


def carry(finder: Pruning, pruning: Pruning) -> None:
    """Put the weights that `finder` ended with, all but those of the head, and its masks on `pruning`."""
    from bench.models.bodies import carry_body

    carry_body(finder.model, pruning.model)
    pruning.keep(finder.masks)
