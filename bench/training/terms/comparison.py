"""One term of the objective against one teacher: what is read, how it is compared, and the losses of its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from bench.base.errors import MethodError
from bench.tasks.features import Batch
from bench.training.terms.divergences import Disparity
from bench.training.terms.ears import Ears, Place
from bench.training.terms.projections import Projections
from bench.training.terms.readers import SignalReader

Pairs = Callable[[int, int], Sequence[tuple[int, int]]]  # depths of student and teacher to pairs of layers


class Layered(NamedTuple):
    """How a term that reads layers compares two models.

    `pairs` gives the layers, None none; `embedded` adds the embeddings. `projection` maps one side to the width of the
    other, `projected`, by a learned linear map for each layer or a shared one.
    """

    readers: tuple[SignalReader, ...]
    disparity: Disparity
    pairs: Pairs | None
    embedded: bool
    projection: Literal["none", "per-layer", "shared"] = "none"
    projected: Literal["student", "teacher"] = "student"


class Match(NamedTuple):
    """A part of a term: what is heard of the student and what of the teacher, and what reads both."""

    reader: SignalReader
    student: tuple[Place, ...]
    teacher: tuple[Place, ...]


class TermComparison:
    """The parts of a layered term for one student and one teacher.

    Args:
        how: see `Layered`.
        student: ears on the student, which need not be open; they say what it has.
        teacher: ears on the teacher.
        layers: the student's layers that count, 0 for the embeddings; None is all.

    Raises `MethodError` if the two models cannot be compared so.
    """

    def __init__(self, how: Layered, student: Ears, teacher: Ears, *, layers: frozenset[int] | None = None) -> None:
        self._how = how
        self.matches = tuple(_matches(how, student, teacher, layers))

    def losses(
        self,
        student: Ears,
        teacher: Ears,
        batch: Batch,
        *,
        projections: Projections,
        weights: Tensor | None,
    ) -> list[Tensor]:
        """The loss of each part, scalars, from what both heard of the same batch."""
        return [self._loss(match, student, teacher, batch, projections, weights) for match in self.matches]

    def _loss(
        self,
        match: Match,
        student: Ears,
        teacher: Ears,
        batch: Batch,
        projections: Projections,
        weights: Tensor | None,
    ) -> Tensor:
        mine = match.reader.read(student, match.student, batch)
        its = match.reader.read(teacher, match.teacher, batch)
        disparity = self._how.disparity
        with torch.autocast(mine.values.device.type, enabled=False):
            left, right = (
                side.values.float() if disparity.softens else side.normalised().float() for side in (mine, its)
            )
            if self._how.projection != "none":
                left, right = self._mapped(match, left, right, projections)
            if left.shape != right.shape:
                raise _unequal(match, left, right)
            return disparity.losses(left, right, real=its.real, allowed=its.allowed).mean(weights)

    def _mapped(self, match: Match, left: Tensor, right: Tensor, projections: Projections) -> tuple[Tensor, Tensor]:
        side = match.student if self._how.projected == "student" else match.teacher
        key = "shared" if self._how.projection == "shared" else f"{side[0]}"
        if self._how.projected == "student":
            return projections.mapped(key, left, right.shape[-1]), right
        return left, projections.mapped(key, right, left.shape[-1])


def _matches(how: Layered, student: Ears, teacher: Ears, layers: frozenset[int] | None) -> list[Match]:
    stacks, theirs = (ears.adapter.stacks(ears.model) for ears in (student, teacher))
    if stacks != theirs:
        raise MethodError(
            f"{type(student.model).__name__} has the stacks {', '.join(stacks)} and its teacher {', '.join(theirs)}, "
            f"so their layers cannot be compared. Use the terms labels and logits."
        )
    found = []
    for reader in how.readers:
        for stack in stacks:
            depths = [ears.adapter.depth(ears.model, stack) for ears in (student, teacher)]
            pairs = [*([(0, 0)] if how.embedded else []), *(how.pairs(*depths) if how.pairs else ())]
            for mine, its in pairs:
                if layers is None or mine in layers:
                    sides = reader.places(student, stack, mine), reader.places(teacher, stack, its)
                    found += [Match(reader, *each) for each in _together(reader, student, *sides)]
    return found


def _together(
    reader: SignalReader, student: Ears, mine: list[tuple[Place, ...]], its: list[tuple[Place, ...]]
) -> list[tuple[tuple[Place, ...], tuple[Place, ...]]]:
    if len(mine) != len(its):
        raise MethodError(
            f"a layer of {type(student.model).__name__} has {len(mine)} attention modules and its teacher's "
            f"{len(its)}, so they cannot be paired"
        )
    return list(zip(mine, its, strict=True))


def _unequal(match: Match, left: Tensor, right: Tensor) -> MethodError:
    if left.dim() == 4 and left.shape[1] != right.shape[1]:
        return MethodError(
            f"an attention module has {left.shape[1]} heads in the student and {right.shape[1]} in the teacher, so "
            f"they cannot be paired. Use the term relations with a number of heads, another teacher, or leave the "
            f"term out."
        )
    return MethodError(
        f"layer {match.student[0].layer} of the student is {left.shape[-1]} wide and layer {match.teacher[0].layer} of "
        f"its teacher {right.shape[-1]}. Give the term projection = 'shared' or 'per-layer'."
    )
