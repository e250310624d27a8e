"""Names to plug-ins: built-in modules, third parties' entry points, and errors that suggest the name you meant."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from bench.base.errors import BenchError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Plug-ins of one kind by the name that suites and recipes use.

    Built-in modules are imported on the first look-up, then every entry point of the group; a plug-in that fails to
    import raises, it is never skipped.

    Args:
        kind: what one plug-in is, in one or two words ("method"), for messages.
        modules: the built-in modules that register plug-ins when imported; they must not import torch at the top.
        group: the entry-point group through which other packages add plug-ins (`bench.methods`).
    """

    def __init__(self, kind: str, *, modules: tuple[str, ...], group: str) -> None:
        self.kind = kind
        self._modules = modules
        self._group = group
        self._plugins: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a plug-in under `name`; a name taken twice raises `BenchError`."""

        def file(plugin: T) -> T:
            if name in self._plugins:
                raise BenchError(f"a {self.kind} named '{name}' is registered already: {self._plugins[name]!r}")
            self._plugins[name] = plugin
            return plugin

        return file

    def get(self, name: str, *, where: str | None = None) -> T:
        """The plug-in filed under `name`; raises `UnknownNameError` that suggests the nearest name."""
        self._load()
        if name not in self._plugins:
            raise unknown(self.kind, name, self._plugins, where=where)
        return self._plugins[name]

    def names(self) -> list[str]:
        """Every name, in alphabetical order."""
        self._load()
        return sorted(self._plugins)

    def items(self) -> Iterator[tuple[str, T]]:
        """Every name with its plug-in, in alphabetical order."""
        return ((name, self._plugins[name]) for name in self.names())

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for module in self._modules:
            importlib.import_module(module)
        for point in entry_points(group=self._group):
            try:
                point.load()
            except Exception as error:
                self._loaded = False
                raise BenchError(
                    f"plug-in '{point.name}' ({point.value}) of group {self._group} failed: {error}"
                ) from error
