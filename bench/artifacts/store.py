"""The cache of trained references, compressed artifacts and data sets, filed by what they were made from."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.base.errors import ArtifactError

EntryKind = Literal["references", "artifacts", "data"]
KINDS: tuple[EntryKind, ...] = ("references", "artifacts", "data")


@dataclass(frozen=True, kw_only=True)
class StoreEntry:
    """One cached model or data set: its kind, key, title, bytes and last use (epoch seconds)."""

    kind: EntryKind
    key: str
    title: str
    bytes: int
    used: float


def default_root() -> Path:
    """BENCH_CACHE, or `bench` in the user's cache directory."""
    named = os.environ.get("BENCH_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench"


class Store:
    """Models and data on disk below `root`, one directory per key; an entry that is there is complete."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, kind: EntryKind, key: str) -> Path:
        """Where the entry is or would be."""
        return self.root / kind / key

    def data_path(self, entry: str) -> Path:
        """The file that holds or would hold the data of the entry, see `bench.tasks.examples.write_data`."""
        return self.path("data", entry) / "examples.parquet"

    def has(self, kind: EntryKind, key: str) -> bool:
        """Whether the entry is there and whole; a damaged one is moved aside so that it is made again."""
        from bench.artifacts.artifact import verify

        path = self.path(kind, key)
        if not path.is_dir():
            return False
        try:
            verify(path)
        except ArtifactError:
            aside = path.with_name(f"{path.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            return False
        os.utime(path)
        return True

    def entries(self) -> list[StoreEntry]:
        """Every entry, the least recently used first."""
        found = [self._entry(kind, path) for kind in KINDS for path in (self.root / kind).glob("*") if path.is_dir()]
        return sorted(found, key=lambda entry: entry.used)

    def clear(self, keys: tuple[str, ...] = ()) -> list[StoreEntry]:
        """Remove the entries whose key starts with one of `keys`, or every entry; returns what was removed."""
        chosen = [entry for entry in self.entries() if not keys or entry.key.startswith(keys)]
        for entry in chosen:
            shutil.rmtree(self.path(entry.kind, entry.key))
        return chosen

    def _entry(self, kind: EntryKind, path: Path) -> StoreEntry:
        title = "the examples of a task, read by the processes of a run" if kind == "data" else _title(path)
        files = [file for file in path.rglob("*") if file.is_file()]
        return StoreEntry(
            kind=kind,
            key=path.name,
            title=title or "damaged, or not made by bench",
            bytes=sum(file.stat().st_size for file in files),
            used=path.stat().st_mtime,
        )


def _title(path: Path) -> str:
    """What the maker of a model called it; empty if its manifest cannot be read."""
    from bench.artifacts.manifest import read_manifest

    try:
        return read_manifest(path).title
    except ArtifactError:
        return ""
