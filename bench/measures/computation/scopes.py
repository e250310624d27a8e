"""Which module ran each operator of a trace, under the name by which it was called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_MARK = "bench-module-"


@contextmanager
def scoped(model: nn.Module) -> Iterator[list[str]]:
    """While it lasts, a trace of `model` notes the module of every operator; all hooks added meanwhile go at the end.

    A module that is shared has several names. Under one call of its parent, its first call has the first name that it
    has there, its second call the second, and so on from the start again: the layers of a stack that share their
    weights are distinguished, a layer that is called in a loop is not.

    Yields:
        The paths of the calls so far, for `path_of`.
    """
    calls = _Calls(model)
    modules = list(model.modules())
    before = [(set(module._forward_pre_hooks), set(module._forward_hooks)) for module in modules]
    for module in modules:
        module.register_forward_pre_hook(calls.enter)
        module.register_forward_hook(calls.leave)
    try:
        yield calls.paths
    finally:
        # fvcore leaves its own hooks behind if the model raises.
        for module, known in zip(modules, before, strict=True):
            for hooks, kept in zip((module._forward_pre_hooks, module._forward_hooks), known, strict=True):
                for key in set(hooks) - kept:
                    del hooks[key]


def path_of(node: Any, paths: Sequence[str]) -> str:
    """The path of the innermost module that ran a node of the traced graph; empty for the model itself."""
    marks = [scope for scope in node.scopeName().split("/") if scope.startswith(_MARK)]
    return paths[int(marks[-1].removeprefix(_MARK))] if marks else ""


class _Calls:
    """The modules being called now, innermost last, each with the number of calls of each module under it."""

    def __init__(self, model: nn.Module) -> None:
        self.paths: list[str] = []
        self._names: dict[int, list[str]] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            self._names.setdefault(id(module), []).append(name)
        self._open: list[tuple[str, Counter[int]]] = []

    def enter(self, module: nn.Module, _inputs: Any) -> None:
        import torch

        path = self._path(module)
        self._open.append((path, Counter()))
        tracing = torch._C._get_tracing_state()
        if tracing is not None:
            tracing.push_scope(f"{_MARK}{len(self.paths)}")
        self.paths.append(path)

    def leave(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        import torch

        self._open.pop()
        tracing = torch._C._get_tracing_state()
        if tracing is not None:
            tracing.pop_scope()

    def _path(self, module: nn.Module) -> str:
        names = self._names[id(module)]
        if not self._open:
            return names[0]
        caller, calls = self._open[-1]
        inside = [name for name in names if not caller or name.startswith(f"{caller}.")]
        number = calls[id(module)]
        calls[id(module)] += 1
        return inside[number % len(inside)] if inside else names[0]
