"""Listening to a model while it runs: hidden states and the projections of attention, of chosen layers only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.models.adapter import Adapter, adapter_for
from bench.models.roles import LayerBlock, Role

STATE = "state"


class Place(NamedTuple):
    """Where something is heard: a stack, a layer from 1 (0: what goes into the first), and what of it.

    `part` is "state" for what a layer gives, or the role of one of its projections; `block` counts the attentions of a
    layer that has several.
    """

    stack: str
    layer: int
    part: str = STATE
    block: int = 0


class Ear(NamedTuple):
    """What one run of a module says: at `place`, one of `parts` equal parts of its output, the one with this number."""

    place: Place
    number: int = 0
    parts: int = 1

    def heard(self, output: Tensor) -> Tensor:
        """Its part of an output [..., width]."""
        return output if self.parts == 1 else output.chunk(self.parts, dim=-1)[self.number]


class Ears:
    """Keeps what the last run of a model gave at some places; nothing else is recorded.

    Hooks are on modules from `open` to `close`. A module that runs in several positions is heard at those asked for.
    Projections are heard at their modules, so that no kernel of attention has to give its scores away.

    Args:
        model: listened to.
        places: what to keep.

    """

    def __init__(self, model: nn.Module, places: Iterable[Place]) -> None:
        self.model = model
        self.heard: dict[Place, Tensor] = {}
        self.places = frozenset(places)
        self._handles: list[Any] = []

    @cached_property
    def adapter(self) -> Adapter:
        """Of the model; raises `ModelError` if its architecture is not known, which matters only if it is heard."""
        return adapter_for(self.model)

    def open(self) -> None:
        """Start listening, with nothing heard yet."""
        self.heard.clear()
        for stack in dict.fromkeys(place.stack for place in self.places):
            layers = self.adapter.layers(self.model, stack)
            whole = all(place.part == STATE for place in self.places if place.stack == stack)
            if Place(stack, 0) in self.places:
                self._handles.append(layers[0].register_forward_pre_hook(self._first(stack), with_kwargs=True))
            for module, runs in _runs(self.adapter, self.model, stack, layers, whole=whole).items():
                kept = [[ear for ear in run if ear.place in self.places] for run in runs]
                if any(kept):
                    self._handles.append(module.register_forward_hook(self._each(kept)))

    def close(self) -> None:
        """Stop listening and forget what was heard."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.heard.clear()

    def at(self, place: Place) -> Tensor:
        """What was heard at a place; raises `MethodError` if it did not run, as a layer that was dropped."""
        if place not in self.heard:
            raise MethodError(
                f"{type(self.model).__name__}: nothing was heard at the {place.part} of layer {place.layer} of the "
                f"{place.stack}: the layer did not run, or has no such part. Leave out the term, or the method that "
                f"skips layers."
            )
        return self.heard[place]

    def _first(self, stack: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        """Keeps what the first layer is given when it runs for the first time."""

        def keep(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            self.heard.setdefault(Place(stack, 0), inputs[0] if inputs else named["hidden_states"])

        return keep

    def _each(self, ears: Sequence[Sequence[Ear]]) -> Callable[[nn.Module, Any, Any], None]:
        """Keeps what a module gives in those of its runs that are asked for."""
        runs = 0

        def keep(module: nn.Module, inputs: Any, outputs: Any) -> None:
            nonlocal runs
            given = outputs[0] if isinstance(outputs, tuple) else outputs
            for ear in ears[runs % len(ears)]:
                self.heard[ear.place] = ear.heard(given)
            runs += 1

        return keep


_ROLES: tuple[Role, ...] = ("query", "key", "value", "cross_query", "cross_key", "cross_value")


def _runs(
    adapter: Adapter, model: nn.Module, stack: str, layers: Sequence[nn.Module], *, whole: bool
) -> dict[nn.Module, list[list[Ear]]]:
    """Each module that can be listened to, with what each of its runs says, in order; if `whole` only layers."""
    found: dict[nn.Module, list[list[Ear]]] = {}
    blocks = [] if whole else adapter.blocks(model)
    for number, layer in enumerate(layers, start=1):
        found.setdefault(layer, []).append([Ear(Place(stack, number))])
        for module, ears in _projections(adapter, blocks, stack, number, layer):
            again = adapter.runs_of(model, cast(Role, ears[0].place.part)) - 1
            found.setdefault(module, []).extend([ears, *[[]] * again])
    return found


def projections(adapter: Adapter, model: nn.Module, stack: str, number: int) -> list[Place]:
    """Where the query, key and value projections of a layer are heard."""
    layer = adapter.layers(model, stack)[number - 1]
    runs = _projections(adapter, adapter.blocks(model), stack, number, layer)
    return [ear.place for _, ears in runs for ear in ears]


def _projections(
    adapter: Adapter, blocks: Sequence[LayerBlock], stack: str, number: int, layer: nn.Module
) -> list[tuple[nn.Module, list[Ear]]]:
    """The projections of a layer, whose blocks are among `blocks`; one that is several roles' says each of them."""
    inside = set(layer.modules())
    own = {id(block.module): block for block in blocks if block.module in inside}
    found = []
    for index, block in enumerate(own.values()):
        for role in _ROLES:
            together = adapter.fused_with(role)
            if role in block.names and role == together[0]:
                ears = [
                    Ear(Place(stack, number, each, index), part, len(together)) for part, each in enumerate(together)
                ]
                found.append((block.module.get_submodule(block.names[role]), ears))
    return found
