"""Where the files of a split are: folders, names, endings, patterns, and the layout of a copy of the hub."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import DataError
from bench.spec.data import TableData
from bench.tasks.sources.decoding import ZIPPED
from bench.tasks.sources.formats import ENDINGS

_WILD = frozenset("*?[")


def find_files(data: TableData, names: str | tuple[str, ...], *, data_dir: Path, what: str) -> list[Path]:
    """The files of the first of `names` that is there, in alphabetical order if it is a folder or a pattern.

    Raises `DataError` that says `what` was looked for, under which names and in which folders.
    """
    wanted = (names,) if isinstance(names, str) else names
    for name in wanted:
        for folder in data.folders:
            found = _found(data_dir / folder, name, data)
            if found:
                return found
    place = "the current folder" if data_dir == Path(".") else str(data_dir)
    if not data_dir.is_dir():
        raise DataError(f"no file with {what}: there is no folder {place}")
    listed = "".join(f"\n  {said}" for said in _said(wanted, data))
    below = ", ".join(folder for folder in data.folders if folder != ".")
    inside = f"\nin one of these folders of it: {below}{', or in itself' * ('.' in data.folders)}" if below else ""
    raise DataError(f"no file with {what} in {place}. Expected one of{listed}{inside}")


def split_files(data: TableData, split: str) -> tuple[str, ...]:
    """The names of a split's file as the data say, and then where a copy of the hub's repository has it."""
    stated = data.files.get(split, ())
    names = (stated,) if isinstance(stated, str) else stated
    if data.hub is None:
        return names
    theirs = data.hub.splits.get(split, split)
    if "[" in theirs:
        return names
    roots = [f"{root}/{data.hub.config or 'data'}" for root in (data.hub.id, data.hub.id.rpartition("/")[2])]
    return (*names, *(f"{root}/{theirs}-*.parquet" for root in roots))


def shown(path: Path, data_dir: Path | None) -> str:
    """How records and messages name a file: below the data folder, or by its name alone if it is elsewhere."""
    if data_dir is not None and path.is_relative_to(data_dir):
        return path.relative_to(data_dir).as_posix()
    return path.name


def _found(folder: Path, name: str, data: TableData) -> list[Path]:
    if _WILD & set(name):
        return sorted(path for path in folder.glob(name) if path.is_file())
    for ending in _endings(name, data):
        path = folder / f"{name}{ending}"
        if path.is_file():
            return [path]
    if (folder / name).is_dir():
        return sorted(path for path in (folder / name).iterdir() if path.is_file() and is_data(path))
    return []


def is_data(path: Path) -> bool:
    """Whether the ending of a file is one of data."""
    return (path.with_suffix("") if path.suffix == ZIPPED else path).suffix.lower() in ENDINGS


def _endings(name: str, data: TableData) -> list[str]:
    """What may stand behind a name: nothing or `.gz`, and each known ending unless it has one."""
    if name.endswith(ZIPPED):
        return [""]
    known = () if is_data(Path(name)) or ("." in name and data.format is not None) else ENDINGS
    return ["", ZIPPED, *(ending + zipped for ending in known for zipped in ("", ZIPPED))]


def _said(names: tuple[str, ...], data: TableData) -> list[str]:
    """The names that are looked for with what may stand behind them; those with any known ending share a line."""
    unended = [name for name in dict.fromkeys(names) if not _WILD & set(name) and len(_endings(name, data)) > 2]
    said = (
        [f"{' or '.join(unended)} + {', '.join(ENDINGS)}, with or without {ZIPPED}, or a folder of such files"]
        if unended
        else []
    )
    for name in dict.fromkeys(names):
        if name not in unended:
            plain = _WILD & set(name) or name.endswith(ZIPPED)
            said.append(name if plain else f"{name}, with or without {ZIPPED}")
    return said
