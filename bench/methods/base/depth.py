"""How many layers a smaller model has, and whether it may start from other weights than the given ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from torch import nn


def student_depth(layers: int | None, depth: int, *, where: str) -> int:
    """`layers`, or half of `depth` if it is None; raises `MethodError` if that is not a smaller depth."""
    chosen = depth // 2 if layers is None else layers
    if not 1 <= chosen <= depth:
        raise MethodError(
            f"{where}: layers is {chosen}, but the given model has {depth}. Give layers from 1 to {depth}."
        )
    return chosen


def refuse_lost_work(model: nn.Module, reference: nn.Module, *, where: str) -> None:
    """Raise `MethodError` if `model` is no longer the reference: a fresh start would discard the earlier stages."""
    if model is reference:
        return
    import torch

    before, now = reference.state_dict(), model.state_dict()
    same = before.keys() == now.keys() and all(
        torch.equal(before[name].cpu(), now[name].cpu()) for name in before if isinstance(before[name], torch.Tensor)
    )
    if not same:
        raise MethodError(
            f"{where}: does not start from the given model's weights, so earlier stages would have no effect. Make it "
            f"the first stage."
        )
