"""Names to plug-ins: built-in modules, entry points of other packages, and errors that suggest the name you meant."""

from __future__ import annotations

import functools
import importlib
import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bench.base.errors import BenchError, PluginError, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

_REGISTRIES: weakref.WeakSet[Registry[Any]] = weakref.WeakSet()
_PLUGGING_IN: list[EntryPoint] = []  # the entry point that is being loaded, if any
_BROKEN: dict[tuple[str, str, str], Broken] = {}


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A plug-in of another package that cannot be used: its entry point, or one of its files, and the cause."""

    name: str
    group: str
    value: str
    package: str
    cause: str

    def __str__(self) -> str:
        return f"plug-in '{self.name}' of package {self.package} ({self.group}: {self.value}) failed: {self.cause}"


def broken_plugins() -> list[Broken]:
    """The broken plug-ins among all that were looked for in this process, by group and name."""
    for registry in _REGISTRIES:
        registry._report_idle()
    return [_BROKEN[key] for key in sorted(_BROKEN)]


def report_broken(point: EntryPoint, cause: Exception | str, *, name: str | None = None) -> None:
    """File an entry point as broken, or only what it holds under `name`: it is skipped, and fatal if it is used."""
    if isinstance(cause, Exception):
        problem = str(cause) if isinstance(cause, BenchError) else f"{type(cause).__name__}: {cause}"
        cause = problem.partition("\n")[0]
    package = point.dist.name if point.dist else point.module
    broken = Broken(name=name or point.name, group=point.group, value=point.value, package=package, cause=cause)
    _BROKEN[broken.group, broken.name, broken.value] = broken


def missing_plugin(
    kind: str, name: str, known: Iterable[str], *, groups: Collection[str], where: str | None
) -> Exception:
    """The error for a name that was not found: of the plug-in that broke under it, or of a name that is unknown.

    Args:
        kind: what was asked for ("method").
        name: its name.
        known: the names that can be had.
        groups: the entry-point groups that add to them.
        where: file and key that hold the name.
    """
    broken = [each for each in broken_plugins() if each.group in groups]
    mine = [each for each in broken if each.name == name]
    if mine:
        return PluginError(f"{where}: {mine[0]}" if where else str(mine[0]))
    error = unknown(kind, name, known, where=where)
    return type(error)(" ".join([str(error), *(f"The {each}." for each in broken)])) if broken else error


@functools.cache
def _points() -> Any:  # which class depends on the version of Python
    """Every entry point of every installed package, read once: it takes a look into each package's folder."""
    from importlib.metadata import entry_points

    return entry_points()


def points_of(group: str) -> list[EntryPoint]:
    """The entry points of a group, by name and value."""
    return sorted(_points().select(group=group), key=lambda point: (point.name, point.value))


class Registry(Generic[T]):
    """Plug-ins of one kind by the name that suites and recipes use.

    Built-in modules are imported on the first look-up, then every entry point of the group. An entry point that cannot
    be loaded is one of `broken_plugins`; looking up its name raises. A name that two modules register raises when it is
    looked up.

    Args:
        kind: what one plug-in is, in one or two words ("method"), for messages.
        modules: the built-in modules that register plug-ins when imported; they must not import torch at the top.
        group: the entry-point group through which other packages add plug-ins (`bench.methods`).
        also: further groups whose modules may register plug-ins here too.
    """

    def __init__(self, kind: str, *, modules: tuple[str, ...], group: str, also: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.group = group
        self._also = also
        self._modules = modules
        self._plugins: dict[str, T] = {}
        self._origins: dict[str, str] = {}  # the module that registered each name
        self._contested: dict[str, str] = {}
        self._loaded: list[EntryPoint] = []
        self._built_in = self._complete = False
        _REGISTRIES.add(self)

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a plug-in under `name`; a name taken already raises `PluginError`."""
        origin = calling_module()

        def file(plugin: T) -> T:
            self.file(name, plugin, origin=origin)
            return plugin

        return file

    def file(self, name: str, plugin: T, *, origin: str) -> None:
        """File a plug-in of the module `origin`; raises as `refuse_taken` does."""
        self.refuse_taken(name, origin=origin)
        self._plugins[name] = plugin
        self._origins[name] = origin

    def refuse_taken(self, name: str, *, origin: str) -> None:
        """Raise `PluginError` that names both modules if `name`, which the module `origin` wants, is taken."""
        if _package(origin) != _package(__name__):
            self._load_built_in()  # so that the other package gets the error, not bench
        if name in self._plugins:
            first = self._origins[name]
            problem = f"{self.kind} '{name}' is registered twice: by {first} and by {origin}"
            if first != origin and _PLUGGING_IN:  # nobody sees the error of an entry point before the name is used
                self._contested[name] = problem
            raise PluginError(problem)

    def get(self, name: str, *, where: str | None = None) -> T:
        """The plug-in filed under `name`.

        Raises:
            UnknownNameError: there is none; the message suggests the nearest name.
            PluginError: the plug-in is broken, or two modules registered the name.
        """
        self._load()
        if name in self._contested:
            raise PluginError(f"{where}: {self._contested[name]}" if where else self._contested[name])
        if name not in self._plugins:
            raise missing_plugin(self.kind, name, self._plugins, groups=(self.group, *self._also), where=where)
        return self._plugins[name]

    def names(self) -> list[str]:
        """Every name, in alphabetical order."""
        self._load()
        return sorted(self._plugins)

    def items(self) -> Iterator[tuple[str, T]]:
        """Every name with its plug-in, in alphabetical order."""
        return ((name, self._plugins[name]) for name in self.names())

    def _load(self) -> None:
        self._load_built_in()
        if self._complete:
            return
        self._complete = True
        for group in (self.group, *self._also):
            for point in points_of(group):
                self._plug_in(point)

    def _load_built_in(self) -> None:
        if self._built_in:
            return
        self._built_in = True
        try:
            for module in self._modules:
                importlib.import_module(module)
        except BaseException:
            self._built_in = False
            raise

    def _plug_in(self, point: EntryPoint) -> None:
        _PLUGGING_IN.append(point)
        try:
            point.load()
        except Exception as error:  # a broken package must not stop what does not use it
            for registry in _REGISTRIES:
                registry._forget_lost(_package(point.module))
            report_broken(point, error)
        else:
            self._loaded.append(point)
        finally:
            _PLUGGING_IN.pop()

    def _report_idle(self) -> None:
        """File entry points of the own group as broken whose packages registered nothing."""
        packages = {_package(origin) for origin in self._origins.values()}
        for point in self._loaded:
            if point.group == self.group and _package(point.module) not in packages:
                report_broken(point, f"it registers no {self.kind}")

    def _forget_lost(self, package: str) -> None:
        """Drop what modules of `package` registered before their import failed."""
        lost = [name for name, origin in self._origins.items() if _package(origin) == package]
        for name in lost:
            if self._origins[name] not in sys.modules:
                del self._plugins[name], self._origins[name]


def load_registries() -> None:
    """Import every plug-in of every registry that exists so far."""
    for registry in list(_REGISTRIES):
        registry.names()


def calling_module() -> str:
    """The module that called the caller of this function."""
    return str(sys._getframe(2).f_globals.get("__name__", "?"))


def _package(module: str) -> str:
    return module.partition(".")[0]
