"""Every result column by its name: those of this package, and those of others."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from bench.base.errors import BenchError, UnknownNameError, unknown
from bench.columns.column import Column


class Columns(Mapping[str, Column]):
    """Columns by name, in a stable order: built-in ones as their modules are listed, then those of other packages.

    Built-in modules hold a tuple `COLUMNS` and are imported on the first look-up. Other packages are asked once, when
    a name is not known or all names are wanted: a module of theirs calls `register` when it is imported.

    Args:
        modules: the built-in modules, each with a tuple `COLUMNS`; they must not import torch at the top.
        groups: the entry-point groups whose modules may register columns.
    """

    def __init__(self, modules: tuple[str, ...], groups: tuple[str, ...]) -> None:
        self._modules = modules
        self._groups = groups
        self._columns: dict[str, Column] = {}
        self._own = False
        self._count = 0  # of our own
        self._others = False
        self._broken: list[str] = []

    def register(self, *columns: Column) -> None:
        """File columns under their names; a name taken twice raises `BenchError` and files none of them."""
        self._load_own()
        self._file(columns)

    def of_others(self) -> tuple[str, ...]:
        """The names that other packages registered, in that order."""
        self._load_others()
        return tuple(self._columns)[self._count :]

    def named(self, name: str, *, where: str | None = None) -> Column:
        """The column called `name`; raises `UnknownNameError` that suggests the nearest and names broken plug-ins."""
        if name in self:
            return self._columns[name]
        error = unknown("column", name, self._columns, where=where)
        raise UnknownNameError(" ".join([str(error), *self._broken])) if self._broken else error

    def broken(self) -> tuple[str, ...]:
        """A sentence for each plug-in of another package that could not be imported."""
        self._load_others()
        return tuple(self._broken)

    def __getitem__(self, name: str) -> Column:
        if name not in self:
            raise KeyError(name)
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        self._load_own()
        if name not in self._columns:
            self._load_others()
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        self._load_others()
        return iter(self._columns)

    def __len__(self) -> int:
        self._load_others()
        return len(self._columns)

    def _file(self, columns: Iterable[Column]) -> None:
        new: dict[str, Column] = {}
        for column in columns:
            if column.name in self._columns or column.name in new:
                raise BenchError(f"a column named '{column.name}' is registered already")
            new[column.name] = column
        self._columns.update(new)

    def _load_own(self) -> None:
        if not self._own:
            self._own = True
            for module in self._modules:
                self._file(importlib.import_module(module).COLUMNS)
            self._count = len(self._columns)

    def _load_others(self) -> None:
        self._load_own()
        if not self._others:
            self._others = True
            for group in self._groups:
                for point in entry_points(group=group):
                    self._load(point)

    def _load(self, point: EntryPoint) -> None:
        try:
            point.load()
        except Exception as error:
            self._broken.append(f"Plug-in '{point.name}' ({point.value}) of group {point.group} failed: {error}.")
