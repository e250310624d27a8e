"""What can be pruned: a site is a group of like units, each a cell of one tensor or of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.methods.base.method import Lab

Pooling = Literal["sum", "mean", "max", "l2"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SitePiece:
    """One tensor of a site and the cell of it that each unit takes.

    The axes are cut into steps of `cell` elements, the last one of an axis possibly shorter; the cells in row-major
    order belong to the units 0, 1, 2 and so on. If the tensor is several of a kind, one after the other along its first
    axis (`folds`, such as 3 for queries, keys and values), each of them is cut so, and a unit has a cell in each. If
    `acts` is true, multiplying this piece by z multiplies the unit's whole contribution to the model's output by z (the
    columns of the attention's output projection, for a head), so that a gate sits here and nowhere else.
    """

    name: str
    parameter: nn.Parameter
    cell: tuple[int, ...]
    acts: bool = True
    folds: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of each of the folds."""
        rows, *others = self.parameter.shape
        return (rows // self.folds, *others)

    @property
    def grid(self) -> tuple[int, ...]:
        """Cells of a fold along each axis."""
        return tuple(math.ceil(size / step) for size, step in zip(self.shape, self.cell, strict=True))

    def expand(self, units: Tensor) -> Tensor:
        """One value per unit [count] to one per element, in the parameter's shape; differentiable."""
        wide = units.view(self.grid)
        for axis, (size, step) in enumerate(zip(self.shape, self.cell, strict=True)):
            if step > 1:
                wide = wide.repeat_interleave(step, dim=axis).narrow(axis, 0, size)
        return wide if self.folds == 1 else wide.repeat(self.folds, *[1] * (wide.dim() - 1))

    def pool(self, values: Tensor, how: Pooling) -> Tensor:
        """One value per element, in the parameter's shape, to one per unit [count]."""
        if math.prod(self.cell) == self.folds == 1:
            return values.reshape(-1).abs() if how == "l2" else values.reshape(-1)
        if how == "l2":
            return self.pool(values.square(), "sum").sqrt()
        if how == "mean":
            return self.pool(values, "sum") / self.sizes(values)
        from torch.nn import functional

        if self.folds > 1:
            parts = values.reshape(self.folds, *self.shape)
            values = parts.amax(0) if how == "max" else parts.sum(0)
        missing = [step * count - size for size, step, count in zip(values.shape, self.cell, self.grid, strict=True)]
        fill = float("-inf") if how == "max" else 0.0
        padded = functional.pad(values, [part for lack in reversed(missing) for part in (0, lack)], value=fill)
        shape = [part for count, step in zip(self.grid, self.cell, strict=True) for part in (count, step)]
        inner = tuple(range(1, 2 * len(self.cell), 2))
        cells = padded.reshape(shape)
        return (cells.amax(inner) if how == "max" else cells.sum(inner)).reshape(-1)

    def sizes(self, like: Tensor) -> Tensor:
        """Elements of each cell [count], in the type and on the device of `like`."""
        return self.pool(like.new_ones(self.parameter.shape), "sum")


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """Units that are ranked and removed alike: the cells of one matrix, or the heads of one layer.

    `kind` says what class of weights they are: the role of the matrix, or "head", "neuron", "mlp".
    """

    name: str
    kind: str
    pieces: tuple[SitePiece, ...]

    @property
    def count(self) -> int:
        """How many units there are."""
        return math.prod(self.pieces[0].grid)

    @property
    def acting(self) -> tuple[SitePiece, ...]:
        """The pieces at which a gate acts."""
        return tuple(piece for piece in self.pieces if piece.acts)

    def pooled(self, elements: Mapping[str, Tensor], how: Pooling, *, acting: bool = False) -> Tensor:
        """Values of all elements, by the parameters' names, to one value per unit [count].

        Sums, means, maxima and norms are over all pieces together, or only over those that act.
        """
        pieces = self.acting if acting else self.pieces
        if len(pieces) == 1:
            return pieces[0].pool(elements[pieces[0].name], how)
        if how == "max":
            parts = [piece.pool(elements[piece.name], how) for piece in pieces]
            return parts[0] if len(parts) == 1 else _stacked(parts).amax(0)
        if how == "l2":
            return _stacked([piece.pool(elements[piece.name].square(), "sum") for piece in pieces]).sum(0).sqrt()
        total = _stacked([piece.pool(elements[piece.name], "sum") for piece in pieces]).sum(0)
        if how == "sum":
            return total
        return total / _stacked([piece.sizes(elements[piece.name]) for piece in pieces]).sum(0)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is scored: the model as it stands and the lab with its data.

    `anchors` are what removed weights become in place of zero.
    """

    model: nn.Module
    lab: Lab
    seed: int
    anchors: Mapping[str, Tensor] = field(default_factory=dict)

    def change(self, piece: SitePiece) -> Tensor:
        """What removing all of a piece would take away: its weights, or their distance from the anchor."""
        weight = piece.parameter.detach()
        return weight - self.anchors[piece.name] if piece.name in self.anchors else weight


def element_masks(sites: Iterable[Site], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks over units, by site, to masks over elements by the parameter's name; True if the weight stays.

    A parameter of which several sites have pieces keeps what all of them keep.
    """
    found: dict[str, Tensor] = {}
    for site in sites:
        for piece in site.pieces:
            mask = piece.expand(masks[site.name])
            found[piece.name] = found[piece.name] & mask if piece.name in found else mask
    return found


def _stacked(parts: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(parts)
