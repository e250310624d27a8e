"""A function of texts in the store: its import name and the hash of its source, as data, and never the function.

Whoever has such a folder cannot make bench run anything: a function is imported only inside `named`, by the processes
of a `score` run whose user named this very function.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.artifacts.manifest import MANIFEST, Manifest, read_json, read_manifest, write_json, write_manifest
from bench.base.errors import ArtifactError, ModelError

if TYPE_CHECKING:
    from bench.models.texts import TextFunction

FUNCTION = "function.json"
SCHEMA_VERSION = 1
_NAMED: ContextVar[str | None] = ContextVar("named", default=None)


class NamedFunction(NamedTuple):
    """A function that was imported because its user named it, and the SHA-256 of the file that it is written in."""

    name: str
    call: Callable[[list[Any]], Any]
    source_hash: str


@contextmanager
def named(function: str | None) -> Iterator[None]:
    """Inside, the function that the user named, `package.module:callable`, may be imported; no other one."""
    token = _NAMED.set(function)
    try:
        yield
    finally:
        _NAMED.reset(token)


def import_function(name: str) -> NamedFunction:
    """The function `package.module:callable`; raises `ModelError` if there is none, or if it cannot be called."""
    module_name, _, inner = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ModelError(
            f"{name}: module '{module_name}' cannot be imported: {type(error).__name__}: {error}. Run in the folder "
            "that holds it, or install it."
        ) from error
    found: Any = module
    for part in inner.split("."):
        if not hasattr(found, part):
            raise ModelError(f"{name}: '{module_name}' has no '{inner}'. Name a function of the module.")
        found = getattr(found, part)
    if not callable(found):
        raise ModelError(f"{name}: expected a function, found {type(found).__name__}")
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        raise ModelError(f"{name}: '{module_name}' is not in a file, so what is measured cannot be told later")
    return NamedFunction(name, found, hashlib.sha256(Path(file).read_bytes()).hexdigest())


def importable_name(function: Any) -> str:
    """`module:name` of a function; raises `ModelError` if another process could not import it by that name."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        raise ModelError(
            f"{name or type(function).__name__}: models are measured in fresh processes, which must import the "
            "function by its name. Write it into a module of its own, and give it or 'module:name'."
        )
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        raise ModelError(f"{module}:{name}: is another function now. Give one that can be imported by its name.")
    return f"{module}:{name}"


def save_function(function: NamedFunction, directory: Path, *, labels: Sequence[str], title: str) -> None:
    """Write what names `function` to the new `directory`; `labels` say what its numbers are, if they have no names."""
    directory.mkdir(parents=True)
    about = {"function": function.name, "source_sha256": function.source_hash, "labels": list(labels)}
    write_json(directory / FUNCTION, {"schema_version": SCHEMA_VERSION, **about})
    digest = hashlib.sha256((directory / FUNCTION).read_bytes()).hexdigest()
    write_manifest(directory, Manifest(title=title, files={FUNCTION: digest}))


def is_function(directory: Path) -> bool:
    """Whether `directory` names a function in place of a model."""
    return (directory / MANIFEST).is_file() and FUNCTION in read_manifest(directory).files


def load_function(directory: Path) -> TextFunction:
    """The function that `directory` names.

    Raises `ArtifactError` if the user did not name it, or if its source is another than when it was given.
    """
    from bench.models.texts import TextFunction

    about = read_json(directory / FUNCTION)
    if about.get("schema_version") != SCHEMA_VERSION:
        raise ArtifactError(f"{directory / FUNCTION}: unknown schema version {about.get('schema_version')}")
    name = str(about.get("function"))
    if _NAMED.get() != name:
        raise ArtifactError(
            f"{directory}: names the function {name} in place of a model, and bench runs no code because a file asks "
            f"for it. If you trust it, name it yourself: bench score {name} SUITE"
        )
    found = import_function(name)
    if found.source_hash != about.get("source_sha256"):
        raise ArtifactError(f"{name}: its source changed since it was given. Run `bench score` again.")
    return TextFunction(name, found.call, tuple(map(str, about.get("labels", ()))))
