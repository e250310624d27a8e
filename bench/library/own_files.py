"""The files of a user's own task: which split each is, where they are, and what the task is called after them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import DataError, SuiteError
from bench.tasks.sources.formats import ENDINGS

HOLDOUT = 0.2  # share of the training file that is scored if there is no other file
OPTIONS = {"train": "--data", "validation": "--validation", "test": "--test"}  # split -> its option
_GENERIC = re.compile(r"(train|training|data|dataset|all|full)([._-].*)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a task by split, the folder that they are relative to, and the share that is held out of them."""

    folder: Path
    paths: Mapping[str, Path]
    holdout: float | None

    @classmethod
    def of(
        cls,
        data: str | Path,
        validation: str | Path | None,
        test: str | Path | None,
        *,
        holdout: float | None = None,
        data_dir: str | Path | None = None,
    ) -> Files:
        """The files as a user gives them; raises `DataError` for one that is missing or outside `data_dir`."""
        given = {"train": data, "validation": validation, "test": test}
        paths = {split: Path(path) for split, path in given.items() if path is not None}
        for split, path in paths.items():
            if not path.exists():
                raise DataError(f"{OPTIONS[split]} {path}: no such file{_nearby(path) or _on_the_hub(path)}")
        if holdout is not None and not 0 < holdout < 1:
            raise SuiteError(f"--holdout {holdout:g}: expected a share above 0 and below 1, such as {HOLDOUT}")
        if holdout is not None and validation is not None:
            raise SuiteError(
                f"--holdout {holdout} with --validation {validation}: one of them is enough. Leave out --holdout to "
                "evaluate on the file."
            )
        if holdout is None and validation is None and test is None:
            holdout = HOLDOUT
        folder = _common_folder(paths.values()) if data_dir is None else Path(data_dir)
        for split, path in paths.items():
            if not path.resolve().is_relative_to(folder.resolve()):
                raise DataError(f"{OPTIONS[split]} {path}: not in the folder {folder} that --data-dir names")
        return cls(folder=folder, paths=paths, holdout=holdout)

    @property
    def relative(self) -> dict[str, str]:
        """The path of each file relative to the folder."""
        root = self.folder.resolve()
        return {split: path.resolve().relative_to(root).as_posix() for split, path in self.paths.items()}

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The splits that are scored."""
        cut = ("validation",) if self.holdout is not None else ()
        return (*cut, *(split for split in self.paths if split != "train"))


def _nearby(path: Path) -> str:
    """The nearest name in the folder of a file that is missing."""
    folder = path.parent
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f". Did you mean {folder / near[0]}?" if near else ""


def _on_the_hub(path: Path) -> str:
    """What to do if the name looks like one of the hub."""
    if path.suffix or path.is_absolute() or len(path.parts) > 2:
        return ""
    return ". It names a file or a folder; a data set of the hub goes into a suite, as data.hub (docs/suites.md)"


def _common_folder(paths: Iterable[Path]) -> Path:
    """The folder that holds all files, relative to the current one if it is in it."""
    folder = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    current = Path.cwd()
    return folder.relative_to(current) if folder.is_relative_to(current) else folder


def name_of(path: Path) -> str:
    """The name of a suite on a file: the file's, or the folder's if the file's says only what part it is."""
    file = Path(path.name.removesuffix(".gz"))
    plain = file.stem if file.suffix.lower() in ENDINGS else file.name
    if _GENERIC.fullmatch(plain):
        plain = path.resolve().parent.name
    return re.sub(r"[^a-z0-9._-]+", "-", plain.lower()).strip("-._") or "own"
