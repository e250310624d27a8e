"""The tree of errors a user can meet, and the one way to say "did you mean"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """A problem a user can act on: the text says where, what was found, what was expected, what to do."""


class UnknownNameError(BenchError, ValueError):
    """A name that nothing is registered, filed or declared under; a `ValueError` so that schemas can report it."""


class PluginError(BenchError, ValueError):
    """A plug-in that cannot be used: it fails when it is loaded, or its name is taken; a `ValueError` as above."""


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
    """Something optional that this machine or installation does not have."""


def unknown(kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> UnknownNameError:
    """The error for a `name` that is none of `known`, with the nearest known name if one is near.

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
