"""What all stacks of adaptive depth have in common: they tell what they ran, run as far as told, and are no graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError, ModelError
from bench.layers.layer import StoredStack

_DECIDES = "how many layers it runs"
_INSTEAD = ", or cut it at one exit first (method exit-at, criterion layer)"


class AdaptiveStack(StoredStack):
    """A stack in which each input runs as many layers as it needs: the owner of `DynamicDepth` (measures/computation).

    A subclass sets `_steps` in every call, int64 [batch], and lets every input run `_forced` layers unless that is
    None; its `forward` begins with `refuse_graph`.
    """

    transient: ClassVar[tuple[str, ...]] = ()  # attributes of the last call besides these, empty in a copy

    def __init__(self) -> None:
        super().__init__()
        self._forced: int | None = None
        self._steps: Tensor | None = None

    @property
    def adapts(self) -> bool:
        """Whether the number of layers depends on the input as the stack is now; else it is one of fixed depth."""
        return True

    @override
    def portable(self) -> nn.Module:
        raise MethodError(no_graph(_DECIDES, instead=_INSTEAD))

    def executed_layers(self) -> Tensor:
        """Layers that each row of the last call ran, int64 [batch], each at least 1."""
        if self._steps is None:
            raise ModelError("the adaptive stack has not run yet, so its number of executed layers is unknown")
        return self._steps

    @contextmanager
    def leaving_after(self, layers: int) -> Iterator[None]:
        """While it lasts every input runs exactly `layers` layers, with the decisions that this takes."""
        before, self._forced = self._forced, layers
        try:
            yield
        finally:
            self._forced = before

    def refuse_graph(self) -> None:
        """Raise `ModelError` if the call is recorded as a graph, see the function of this name."""
        refuse_graph(_DECIDES, instead=_INSTEAD)

    def __getstate__(self) -> dict[str, Any]:
        """All but what the last call left behind, which may hold a graph and cannot be copied."""
        return {**self.__dict__, "_forced": None, "_steps": None, **dict.fromkeys(self.transient)}


_COUNTING: list[bool] = []  # not empty while a graph is recorded to count what one call executes


@contextmanager
def counting() -> Iterator[None]:
    """While it lasts a recorded graph is known to be the count of one call."""
    _COUNTING.append(True)
    try:
        yield
    finally:
        _COUNTING.pop()


def no_graph(decides: str, *, instead: str = "") -> str:
    """Why a model has no graph: `decides` says what depends on the input, `instead` what else can be done."""
    return (
        f"the model decides for each input {decides}. A traced or exported graph would repeat the decisions of the "
        f"example it was traced with. Run the model as it is{instead}"
    )


def refuse_graph(decides: str, *, instead: str = "") -> None:
    """Raise `ModelError` if the call is recorded as a graph: it would hold the decisions of one example for all.

    Counting records one too, of one example at a time, and says so with `counting`. The arguments are those of
    `no_graph`.
    """
    if _recording() and not _COUNTING:
        raise ModelError(no_graph(decides, instead=instead))


def real_positions(mask: Any, hidden: Tensor) -> Tensor:
    """Positions that are not padding, bool [batch, length]; a key that no query may attend to is padding."""
    if mask is None:
        return torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    if not isinstance(mask, Tensor) or mask.dim() not in (2, 4):
        raise ModelError(f"an adaptive stack needs masks of 2 or 4 dimensions, found {type(mask).__name__}")
    seen = mask if mask.dtype == torch.bool else (mask > -1.0 if mask.dim() == 4 else mask > 0)
    if mask.dim() == 4:
        seen = seen.any(dim=1).any(dim=1)
    return seen.expand(hidden.shape[:2])


def state_of(given: Any) -> Tensor:
    """The hidden states of what a layer gives, a tensor or a tuple that starts with it."""
    state: Tensor = given[0] if isinstance(given, tuple) else given
    return state


def in_form_of(given: Any, state: Tensor) -> Any:
    """`state` as a layer gives it: if the last layer gave a tuple, `given`, in the first place of such a tuple."""
    return (state, *given[1:]) if isinstance(given, tuple) else state


def _recording() -> bool:
    return torch.jit.is_tracing() or torch.compiler.is_exporting()  # type: ignore[attr-defined, no-untyped-call]
