"""Files by name: those of bench, and those in folders of other packages that entry points name."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.base.errors import PluginError
from bench.base.registry import missing_plugin, points_of, report_broken

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Filed(NamedTuple):
    """A file with the entry point of its folder, None for a file of bench."""

    path: Path
    point: EntryPoint | None


class Shelf:
    """TOML files of one kind, by the file's name without `.toml`.

    An entry point of the group names a package whose folder holds such files, or a module beside them; neither is
    imported, only the packages above it. A folder that cannot be found is one of `broken_plugins`. A name that two
    folders have raises when it is looked up.

    Args:
        kind: what one file is, in one word ("suite").
        folder: the files of bench; those in its subfolders count too, as in the folders of other packages.
        group: the entry-point group through which other packages add folders (`bench.suites`).
        nested: whether the name of a file in a subfolder begins with the subfolder's (`glue/sst2`).
    """

    def __init__(self, kind: str, *, folder: Path, group: str, nested: bool = False) -> None:
        self.kind = kind
        self.group = group
        self._folder = folder
        self._nested = nested

    def names(self) -> list[str]:
        """Every name, in alphabetical order."""
        return sorted(self._files)

    def path(self, name: str, *, where: str | None = None) -> Path:
        """The file called `name`.

        Raises:
            UnknownNameError: there is none; the message suggests the nearest name.
            PluginError: its folder cannot be found, or two folders have the name.
        """
        found = self._files.get(name)
        if not found:
            raise missing_plugin(self.kind, name, self._files, groups=(self.group,), where=where)
        if len(found) > 1:
            problem = self._clash(name, found)
            raise PluginError(f"{where}: {problem}" if where else problem)
        return found[0].path

    def shown(self, path: Path) -> str:
        """How messages name a file: files of bench by their path inside the repository, others by their full path."""
        inside = path.is_relative_to(self._folder)
        return path.relative_to(self._folder.parent).as_posix() if inside else str(path)

    def skip(self, name: str, cause: Exception) -> bool:
        """Whether another package has a file `name`, which then is one of `broken_plugins`."""
        points = [each.point for each in self._files[name] if each.point is not None]
        for point in points[:1]:
            report_broken(point, cause, name=name)
        return bool(points)

    def _clash(self, name: str, files: list[Filed]) -> str:
        return f"{self.kind} '{name}' exists twice: {' and '.join(str(each.path) for each in files)}"

    @functools.cached_property
    def _files(self) -> dict[str, list[Filed]]:
        """The files by name; of those that share one, the first comes first."""
        found: dict[str, list[Filed]] = {}
        for path in _toml_files(self._folder):
            found.setdefault(self._name(path, self._folder), []).append(Filed(path, None))
        for point in points_of(self.group):
            try:
                folder = _folder_of(point)
                paths = _toml_files(folder)
                if not paths:
                    raise PluginError(f"no .toml file in {folder}")
            except Exception as error:  # finding the folder imports its parent packages, which may raise anything
                report_broken(point, error)
                continue
            for path in paths:
                found.setdefault(self._name(path, folder), []).append(Filed(path, point))
        return found

    def _name(self, path: Path, folder: Path) -> str:
        return path.relative_to(folder).with_suffix("").as_posix() if self._nested else path.stem


def _folder_of(point: EntryPoint) -> Path:
    spec = find_spec(point.value)
    if spec is None:
        raise PluginError(f"no module named '{point.value}'")
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(str(spec.origin)).parent


def _toml_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.toml"), *folder.glob("*/*.toml")])
