"""The sum of all terms of a training: it listens to the student and its teachers while they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.adaptive import AdaptiveStack
from bench.layers.tokens import TokenStack
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.hooks import Hook, TrainState
from bench.training.objective import Term
from bench.training.terms.comparison import Layered, Match, TermComparison
from bench.training.terms.divergences import Disparity
from bench.training.terms.ears import Ears
from bench.training.terms.outputs import output_loss, squared_outputs
from bench.training.terms.projections import Projections
from bench.training.terms.teacher import Teacher
from bench.training.terms.weighing import Weigher

Schedule = Callable[[int, int], float]  # step and total steps to a factor


class Focus(NamedTuple):
    """Which part of the terms a training is about: `layers` of the student (0: the embeddings), and the outputs.

    None is all layers; terms that read no layer (labels, logits) are there if `outputs`.
    """

    layers: frozenset[int] | None = None
    outputs: bool = True


EVERYTHING = Focus()
HEADS = Focus(layers=frozenset())  # the outputs and no layer
LAYERS = Focus(outputs=False)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One term: `layered` reads layers, `outputs` heads; neither is the task's own loss against the labels.

    `squared_heads` adds the mean squared difference of the outputs as one more part of a layered term. Parts of a term
    and teachers are summed or averaged.
    """

    weight: float
    factor: Schedule
    layered: Layered | None = None
    outputs: Disparity | None = None
    weigher: Weigher | None = None
    squared_heads: bool = False
    reduce: Literal["mean", "sum"] = "mean"
    over_teachers: Literal["mean", "sum"] = "sum"

    @property
    def taught(self) -> bool:
        """Whether it is compared with a teacher."""
        return self.layered is not None or self.outputs is not None


class Guidance(Hook, Term):
    """The weighted sum of the goals of a training, as a term and as the hook that listens to the student.

    Teachers are run in the loss, without gradients, and only for terms that need more than what is remembered of them.
    Of student and teachers nothing is recorded but what a term reads.

    Args:
        goals: the terms.
        teachers: on the device of training; those that no term needs are not run.
        seed: of learned projections.
        focus: which layers and outputs count.

    Raises `MethodError` if a goal needs a teacher and there is none.
    """

    def __init__(
        self, goals: Sequence[Goal], teachers: Sequence[Teacher], *, seed: int = 0, focus: Focus = EVERYTHING
    ) -> None:
        self._goals = tuple(goal for goal in goals if goal.layered is not None or focus.outputs)
        self._teachers = tuple(teachers)
        self._focus = focus
        self._seed = seed
        self._progress = (0, 1)
        self._listening: Listening | None = None
        self._open = False
        if not self._teachers and any(goal.taught for goal in self._goals):
            raise MethodError("the terms need a teacher, and there is none")

    @property
    @override
    def of_outputs(self) -> bool:
        return self._focus == HEADS

    @override
    def before_step(self, state: TrainState) -> None:
        self._progress = (state.step, state.total_steps)
        listening = self._listening_to(state.model)
        listening.trained_by(state.optimizer)
        listening.student.open()
        self._open = True

    @override
    def after_step(self, state: TrainState) -> None:
        if self._listening is not None:
            self._listening.student.close()
        self._open = False

    @override
    def on_evaluate(self, state: TrainState) -> None:
        """The learned projections have done their work."""
        self._listening = None

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """The weighted sum; outside of a step, as on a fixed batch, the student is run once more to be listened to."""
        listening, again = self._listening_to(model), not self._open
        try:
            if again and listening.comparisons:
                listening.student.open()
                outputs = model(**batch.inputs)
            listening.run_teachers(self._teachers, batch)
            return self._sum(listening, batch, outputs, kind)
        finally:
            listening.close(student=again)

    def layers_of(self, model: nn.Module) -> list[int]:
        """The layers of a student that the terms read, in rising order; 0 are the embeddings."""
        listening = Listening(model, self._teachers, self._goals, focus=self._focus, seed=self._seed)
        return sorted({place.layer for place in listening.student.places})

    @property
    def layered(self) -> bool:
        """Whether a term reads layers."""
        return any(goal.layered is not None for goal in self._goals)

    def projected(self) -> list[nn.Parameter]:
        """Every parameter of a learned projection that is there now."""
        return [] if self._listening is None else self._listening.parameters()

    def _listening_to(self, model: nn.Module) -> Listening:
        if self._listening is None or self._listening.student.model is not model:
            self._listening = Listening(model, self._teachers, self._goals, focus=self._focus, seed=self._seed)
        return self._listening

    def _sum(self, listening: Listening, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        parts = []
        for index, goal in enumerate(self._goals):
            weight = goal.weight * goal.factor(*self._progress)
            losses = self._losses(index, goal, listening, batch, outputs, kind) if weight else []
            if losses:
                parts.append(weight * _reduced(losses, goal.over_teachers))
        if not parts:  # every weight is 0 in this step
            return torch.stack([head.float().sum() for head in kind.logits(outputs, batch)]).sum() * 0.0
        return sum(parts[1:], start=parts[0])

    def _losses(
        self, index: int, goal: Goal, listening: Listening, batch: Batch, outputs: Any, kind: TaskKind
    ) -> list[Tensor]:
        """The loss of a goal for each teacher that it is compared with; none if no layer of it counts."""
        if not goal.taught:
            return [self._labelled(goal, batch, outputs, kind)]
        found = []
        for number, teacher in enumerate(self._teachers):
            weights = None if goal.weigher is None else goal.weigher.factors(batch, kind, teacher)
            if goal.outputs is not None:
                sharp = None if goal.weigher is None else goal.weigher.sharpness(batch, kind, teacher)
                loss = output_loss(goal.outputs, outputs, teacher, batch, kind, weights=weights, sharpness=sharp)
                found.append(loss)
                continue
            losses = listening.losses(index, number, batch, _of_inputs(weights, batch))
            if goal.squared_heads and self._focus.outputs:
                losses += squared_outputs(outputs, teacher.ran(batch), batch, kind)
            if losses:
                found.append(_reduced(losses, goal.reduce))
        return found

    def _labelled(self, goal: Goal, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        teacher = self._teachers[0] if self._teachers else None
        factors = None if goal.weigher is None else goal.weigher.factors(batch, kind, teacher)
        if factors is None:
            return kind.loss(outputs, batch.targets)
        return (kind.example_losses(outputs, batch) * factors).mean()


class Listening:
    """Ears on a student and on its teachers, the comparisons of what they hear, and their learned projections.

    Args:
        model: the student.
        teachers: compared with it.
        goals: the terms; those that read layers are listened for.
        focus: which layers count.
        seed: of learned projections.
    """

    def __init__(
        self, model: nn.Module, teachers: Sequence[Teacher], goals: Sequence[Goal], *, focus: Focus, seed: int
    ) -> None:
        ears, theirs = Ears(model, ()), [Ears(teacher.model, ()) for teacher in teachers]
        made = {
            (index, number): TermComparison(goal.layered, ears, other, layers=focus.layers)
            for index, goal in enumerate(goals)
            if goal.layered is not None
            for number, other in enumerate(theirs)
        }
        self.comparisons = {key: comparison for key, comparison in made.items() if comparison.matches}
        for _, number in self.comparisons:
            _refuse_adaptive(teachers[number].model)
            for who, each in (("teacher", teachers[number].model), ("student", model)):
                _refuse_dropped_tokens(each, who)
        self.student = Ears(model, [place for each in self._matches() for place in each.student])
        self._teachers = [
            Ears(teacher.model, [place for each in self._matches(number) for place in each.teacher])
            for number, teacher in enumerate(teachers)
        ]
        self._projections = {key: Projections(seed=seed + 1000 * key[1] + key[0]) for key in self.comparisons}

    def _matches(self, number: int | None = None) -> list[Match]:
        return [
            match
            for (_, teacher), comparison in self.comparisons.items()
            if number in (None, teacher)
            for match in comparison.matches
        ]

    def trained_by(self, optimizer: AdamW) -> None:
        """Learned projections are trained by `optimizer` from now on."""
        for projections in self._projections.values():
            projections.trained_by(optimizer)

    def parameters(self) -> list[nn.Parameter]:
        """Every parameter of a projection that is there now."""
        return [parameter for each in self._projections.values() for parameter in each.parameters()]

    def run_teachers(self, teachers: Sequence[Teacher], batch: Batch) -> None:
        """Listen to those teachers of which a layer is read, on a batch."""
        for ears, teacher in zip(self._teachers, teachers, strict=True):
            if ears.places:
                ears.open()
                teacher.run(batch)

    def losses(self, index: int, number: int, batch: Batch, weights: Tensor | None) -> list[Tensor]:
        """The losses of the parts of goal `index` for teacher `number`, from what was heard."""
        comparison = self.comparisons.get((index, number))
        if comparison is None:
            return []
        projections = self._projections[index, number]
        return comparison.losses(self.student, self._teachers[number], batch, projections=projections, weights=weights)

    def close(self, *, student: bool) -> None:
        """Stop listening to the teachers, and with `student` to the student."""
        for ears in [*self._teachers, *([self.student] if student else [])]:
            ears.close()


def _refuse_adaptive(teacher: nn.Module) -> None:
    if any(isinstance(module, AdaptiveStack) and module.adapts for module in teacher.modules()):
        raise MethodError(
            f"the teacher, a {type(teacher).__name__}, decides for each input how many layers it runs, so its layers "
            f"cannot be compared. Give terms of outputs, such as logits, or another teacher."
        )


def _refuse_dropped_tokens(model: nn.Module, who: str) -> None:
    if any(isinstance(module, TokenStack) for module in model.modules()):
        raise MethodError(
            f"the {who}, a {type(model).__name__}, drops tokens from layer to layer, so its layers cannot be compared "
            f"token by token. Give terms of outputs, such as logits, or compare layers in a stage before drop-tokens."
        )


def _of_inputs(weights: Tensor | None, batch: Batch) -> Tensor | None:
    """A factor for each example as one for each input that the model reads; an example may have several."""
    if weights is None or batch.groups is None:
        return weights
    return weights.repeat_interleave(torch.tensor(batch.groups, device=weights.device))


def _reduced(losses: list[Tensor], how: Literal["mean", "sum"]) -> Tensor:
    stacked = torch.stack(losses)
    return stacked.sum() if how == "sum" else stacked.mean()
