"""Copying the folder of a model without copying its files, and writing a module of the user to one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.artifacts.artifact import Loaded, save
from bench.artifacts.manifest import Manifest
from bench.base.errors import ModelError
from bench.models.fingerprint import is_of_the_tokenizer

if TYPE_CHECKING:
    from torch import nn


def link(directory: Path, target: Path) -> None:
    """Copy a folder without copying the files if the file system can do so."""
    shutil.copytree(directory, target, copy_function=_place)


def with_tokenizer_of(directory: Path, tokenizer: Path, target: Path) -> None:
    """Copy a model's folder to `target` with the tokenizer files of another folder in place of its own.

    Raises `ModelError` if there are none.
    """
    if not tokenizer.is_dir():
        raise ModelError(f"--tokenizer {tokenizer}: no such folder; expected one with tokenizer.json")
    files = [path for path in sorted(tokenizer.iterdir()) if path.is_file() and is_of_the_tokenizer(path)]
    if not files:
        raise ModelError(f"--tokenizer {tokenizer}: no tokenizer files; expected tokenizer.json in the folder")
    target.mkdir(parents=True)
    for path in directory.iterdir():
        if path.is_dir():
            link(path, target / path.name)
        elif not is_of_the_tokenizer(path):
            _place(str(path), str(target / path.name))
    for path in files:
        _place(str(path), str(target / path.name))


def file_model(model: nn.Module | Loaded, tokenizer: Any, directory: Path, *, title: str) -> None:
    """Write a model from the user to the new `directory`, unchanged."""
    if isinstance(model, Loaded):
        link(model.directory, directory)
        return
    made: Manifest = getattr(model, "made", Manifest(title=title))
    save(model, directory, tokenizer=tokenizer_of(model, tokenizer), made=made)


def tokenizer_of(model: nn.Module, given: Any) -> Any:
    """The given tokenizer, or by default the model's own; raises `ModelError` if there is none."""
    found = getattr(model, "tokenizer", None) if given is None else given
    if found is None:
        raise ModelError(f"{type(model).__name__}: give its tokenizer with tokenizer=...")
    return found


def _place(source: str, copy: str) -> str:
    try:
        os.link(Path(source).resolve(), copy)
    except OSError:
        shutil.copy2(source, copy)
    return copy
