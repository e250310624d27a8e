"""Keeping keys and values between decoding steps, right also if decoder layers are shared or were left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def numbered_layers(model: nn.Module) -> Iterator[None]:
    """While it lasts, each run of a decoder layer of `model` has a slot of its own in the cache of keys and values.

    transformers numbers a layer's slot when the layer is made. One that runs in several positions would write several
    times into one slot and attend to all of it, so its number is set again before each run.
    """
    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    runs = _Runs()
    parent = model.get_submodule(adapter.stack_name(model, "decoder").rpartition(".")[0])
    hooks = [parent.register_forward_pre_hook(runs.begin)]
    hooks += [layer.register_forward_pre_hook(runs.number) for layer in dict.fromkeys(adapter.layers(model, "decoder"))]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Runs:
    """Counts the runs of layers within one call of the stack."""

    def __init__(self) -> None:
        self._count = 0

    def begin(self, _stack: nn.Module, _inputs: Any) -> None:
        self._count = 0

    def number(self, layer: nn.Module, _inputs: Any) -> None:
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = self._count  # type: ignore[assignment]
        self._count += 1
