"""All errors that a user can see, and how an unknown name is reported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """A problem that a user can solve: the text says where, what was found, what was expected and what to do."""


class UnknownNameError(BenchError, ValueError):
    """A name that is not known; a `ValueError` so that schemas can report it."""


class PluginError(BenchError, ValueError):
    """A plug-in that fails to load, or whose name is taken; a `ValueError` so that schemas can report it."""


class SuiteError(BenchError):
    """A suite or recipe file, or an override of it, that cannot be used."""


class DataError(BenchError):
    """A data set that is missing, malformed or empty."""


class ModelError(BenchError):
    """A model that cannot be found, loaded safely or handled by an adapter."""


class MethodError(BenchError):
    """A method that does not make sense on the model or stage it was given."""


class TrainingError(BenchError):
    """Training that broke down, for example a loss that is not a number."""


class ArtifactError(BenchError):
    """An artifact or cache entry that is incomplete, altered or of an unknown form."""


class RecordError(BenchError):
    """A record that cannot be read, written or compared."""


class UnavailableError(BenchError):
    """An optional feature that this machine or installation lacks."""


def unknown(kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> UnknownNameError:
    """The error for a `name` that is not in `known`, with the nearest known name if there is one.

    Args:
        kind: what the name stands for, in one or two words ("recipe", "task").
        name: what was found.
        known: every name that would have been right.
        where: file and key, or command-line option, that held the name.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    place = f"{where}: " if where else ""
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names) or 'none'}."
    return UnknownNameError(f"{place}no {kind} named '{name}'. {hint}")
