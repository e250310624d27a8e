"""Which products and divisions of an executed pass have an operand that went through no quantizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Where the two operands of a product stand among its arguments.
_OPERANDS = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "matmul", "linear", "convolution", "_trilinear"), (0, 1)),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv", "addr"), (1, 2)),
}
_FUSED = (
    *("scaled_dot_product", "_scaled_dot_product", "_native_multi_head_attention", "lstm", "gru", "rnn_", "_thnn"),
    *("_softmax", "softmax", "native_layer_norm", "layer_norm", "native_group_norm", "rms_norm", "_fused_rms_norm"),
)
_ROUNDING = ("round", "fake_quantize", "_fake_quantize")
# What a number is moved, clipped or laid out by without leaving its steps.
_MOVE_NAMES = """
    view _unsafe_view reshape _reshape_alias transpose t permute expand slice select narrow squeeze unsqueeze clone
    copy _to_copy detach alias contiguous split split_with_sizes unbind chunk unfold cat stack index index_select
    embedding gather repeat repeat_interleave clamp clamp_min clamp_max masked_fill flip as_strided lift_fresh
"""
_MOVES = frozenset(_MOVE_NAMES.split())
_SHIFTS = frozenset({"add", "sub", "mul", "div", "rsub", "ldexp"})  # by side data: a scale, a zero point, a lower end


class _Origin(Enum):
    """What is known of a tensor: stored side data, rounded numbers, or anything else."""

    SIDE = 1
    ROUNDED = 2
    RAW = 3


class Product(NamedTuple):
    """A product or a division: the operator, the innermost module that ran it, and whether each side is rounded."""

    operator: str
    module: str
    rounded: tuple[bool, ...]


def executed_products(model: nn.Module, run: Callable[[], object]) -> list[Product]:
    """Every product and division of `run`, which calls `model`, in their order, with what is known of the operands.

    Divisions are those of two tensors, of which neither is side data. (Prato et al. 2020, §4.2, leave out the others.)

    A tensor counts as rounded if it came out of a rounding or an integer, and since then was only moved, laid out, or
    shifted and scaled by stored buffers (the side data of codes) or plain numbers. Parameters are no side data. Of a
    fused attention, softmax, norm or recurrent cell, whose inner operands nobody sees, neither side counts as rounded.
    """
    with _entering(model) as path, torch.no_grad():
        walk = _Walk(list(model.buffers()), path)
        with walk:
            run()
    return walk.products


class _Walk(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, buffers: list[Tensor], path: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[Product] = []
        self._path = path
        # Tensors are kept as long as the walk, so that no number of an object is given twice.
        self._known: dict[int, tuple[Tensor, _Origin]] = {id(each): (each, _Origin.SIDE) for each in buffers}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        given = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        kinds = [self._kind(tensor) for tensor in given]
        if name in _OPERANDS:
            sides = tuple(self._kind(args[place]) is _Origin.ROUNDED for place in _OPERANDS[name])
            self.products.append(Product(name, self._path[-1], sides))
        elif name.startswith(_FUSED):
            self.products.append(Product(name, self._path[-1], (False, False)))
        elif name in ("div", "div_") and len(given) == 2 and all(map(_many, given)) and _Origin.SIDE not in kinds:
            self.products.append(Product(name, self._path[-1], tuple(kind is _Origin.ROUNDED for kind in kinds)))
        result = func(*args, **(kwargs or {}))
        kind = _result(name, given, kinds)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._known[id(leaf)] = (leaf, kind)
        return result

    def _kind(self, tensor: Tensor) -> _Origin:
        if not tensor.is_floating_point():
            return _Origin.SIDE
        known = self._known.get(id(tensor))
        return _Origin.RAW if known is None else known[1]


def _result(name: str, given: list[Tensor], kinds: list[_Origin]) -> _Origin:
    """What comes out of an operator that was given tensors of these kinds."""
    plain = name.removesuffix("_")
    if name == "_to_copy" and not given[0].is_floating_point():
        return _Origin.ROUNDED  # codes that become numbers
    if all(kind is _Origin.SIDE for kind in kinds):
        return _Origin.SIDE
    if plain.startswith(_ROUNDING):
        return _Origin.ROUNDED
    if _Origin.RAW not in kinds and (plain in _MOVES or (plain in _SHIFTS and kinds.count(_Origin.ROUNDED) == 1)):
        return _Origin.ROUNDED
    return _Origin.RAW


def _many(tensor: Tensor) -> bool:
    return tensor.dim() >= 2


@contextmanager
def _entering(model: nn.Module) -> Iterator[list[str]]:
    """The names of the modules that run, innermost last, as long as the context is open."""
    path = [""]
    handles = []
    for name, module in model.named_modules():

        def enter(_module: nn.Module, _inputs: Any, name: str = name) -> None:
            path.append(name)

        def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            path.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield path
    finally:
        for handle in handles:
            handle.remove()
