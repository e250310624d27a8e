"""Every result column by name, of this package and of other packages."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from bench.base.registry import Registry, calling_module
from bench.columns.column import Column


class _Register(Registry[Column]):
    """Built-in columns are filed from the tuple `COLUMNS` of each module; other packages are asked only if need be."""

    def _load_built_in(self) -> None:
        if not self._built_in:
            self._built_in = True
            for module in self._modules:
                for column in importlib.import_module(module).COLUMNS:
                    self.file(column.name, column, origin=module)

    def known(self, *, all_packages: bool) -> Mapping[str, Column]:
        """The columns of bench, or those of `all_packages`, in the order in which they were filed."""
        self._load() if all_packages else self._load_built_in()
        return self._plugins

    def of_others(self) -> tuple[str, ...]:
        """The names filed by modules other than the built-in ones."""
        known = self.known(all_packages=True)
        return tuple(name for name in known if self._origins[name] not in self._modules)

    def contested(self, name: str) -> bool:
        """Whether two modules filed a column under `name`."""
        return name in self._contested


class Columns(Mapping[str, Column]):
    """Columns by name, in a stable order: built-in ones as their modules are listed, then those of other packages.

    Built-in modules hold a tuple `COLUMNS` and are imported on the first look-up. Other packages are asked once, when
    a name is not known or all names are wanted: a module of theirs calls `register` when it is imported.

    Args:
        modules: the built-in modules, each with a tuple `COLUMNS`; they must not import torch at the top.
        group: the entry-point group of modules that register columns.
        also: the groups of plug-ins that may register columns of their own.
    """

    def __init__(self, modules: tuple[str, ...], *, group: str, also: tuple[str, ...]) -> None:
        self._registry = _Register("column", modules=modules, group=group, also=also)

    def register(self, *columns: Column, origin: str | None = None) -> None:
        """File columns under their names; if one is taken already, `PluginError` names both modules and none is filed.

        Args:
            columns: what to file.
            origin: the module whose columns they are; None is the one that calls.
        """
        origin = origin or calling_module()
        for column in columns:
            self._registry.refuse_taken(column.name, origin=origin)
        for column in columns:
            self._registry.file(column.name, column, origin=origin)

    def of_others(self) -> tuple[str, ...]:
        """The names that other packages registered, in that order."""
        return self._registry.of_others()

    def named(self, name: str, *, where: str | None = None) -> Column:
        """The column called `name`; raises as `Registry.get`."""
        sound = name in self and not self._registry.contested(name)
        return self[name] if sound else self._registry.get(name, where=where)

    def __getitem__(self, name: str) -> Column:
        if name not in self:
            raise KeyError(name)
        return self._registry.known(all_packages=False)[name]

    def __contains__(self, name: object) -> bool:
        return name in self._registry.known(all_packages=False) or name in self._registry.known(all_packages=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry.known(all_packages=True))

    def __len__(self) -> int:
        return len(self._registry.known(all_packages=True))
