"""The stored tensor behind a value of a traced graph, seen through views and masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import BenchError

if TYPE_CHECKING:
    from torch import Tensor

# Operators that may stand between a stored tensor and the product that uses it: they select, move or mask elements.
_VIEWS = """
    chunk expand flatten narrow permute reshape select slice split split_with_sizes squeeze t transpose unbind
    unflatten unsqueeze view
"""
_FOLDED = frozenset(f"aten::{name}" for name in _VIEWS.split())
_SAME = frozenset(
    ("aten::to", "aten::contiguous", "aten::clone", "aten::detach", "prim::NumToTensor", "aten::Int", "aten::alias")
)


class _ComputedError(BenchError):
    """The value depends on the inputs of the model."""


class StoredValues:
    """Finds what is stored among the values of one traced graph.

    Args:
        state: the traced module's tensors in the order in which the trace takes them as inputs.
        inputs: how many inputs the trace has before these.
    """

    def __init__(self, state: Sequence[Tensor], *, inputs: int) -> None:
        self._state = state
        self._inputs = inputs
        self._places: dict[str, int] = {}
        self._known: dict[str, Any] = {}
        self._computed: set[str] = set()

    def tensor(self, value: Any) -> Tensor | None:
        """The tensor that `value` holds whatever the input; None for a value that is computed from the input."""
        import torch

        try:
            found = self._value(value)
        except _ComputedError:
            return None
        return found if isinstance(found, torch.Tensor) else None

    def constant(self, value: Any) -> Any:
        """The constant, or list of constants, that an operator was called with."""
        if value.node().kind() == "prim::ListConstruct":
            return [self.constant(item) for item in value.node().inputs()]
        return value.toIValue()

    def _value(self, value: Any) -> Any:
        name = value.debugName()
        if name in self._computed:
            raise _ComputedError
        if name not in self._known:
            try:
                self._known[name] = self._find(value)
            except _ComputedError:
                self._computed.add(name)
                raise
        return self._known[name]

    def _find(self, value: Any) -> Any:
        import torch

        node = value.node()
        kind, given = node.kind(), list(node.inputs())
        if kind == "prim::Param":
            return self._parameter(value)
        if kind == "prim::Constant":
            return value.toIValue()
        if kind == "prim::ListConstruct":
            return [self._value(item) for item in given]
        if kind == "prim::ListUnpack":
            names = [output.debugName() for output in node.outputs()]
            return self._value(given[0])[names.index(value.debugName())]
        if kind == "aten::size" and len(given) == 2 and given[0].type().sizes() is not None:
            return given[0].type().sizes()[given[1].toIValue()]
        if kind in _SAME:
            return self._value(given[0])
        if kind == "aten::mul":
            return self._value(given[0]) * self._value(given[1])
        if kind in _FOLDED:
            return getattr(torch.ops.aten, kind.removeprefix("aten::"))(*(self._value(item) for item in given))
        raise _ComputedError

    def _parameter(self, value: Any) -> Tensor:
        if not self._places:
            self._places = {output.debugName(): place for place, output in enumerate(value.node().outputs())}
        place = self._places[value.debugName()] - self._inputs
        if place < 0:
            raise _ComputedError
        return self._state[place]
