"""What the user gave to be scored beside a reference, as the record keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class GivenSystem:
    """A system in words; no path of this machine.

    Args:
        form: what it was: "checkpoint", "artifact", "model", "function" or a kind of graph.
        name: its file's or folder's name, its id on the hub, or the name that a function is imported by.
        fingerprint: SHA-256 of all that it was made of: weights, configuration and tokenizer, or the function's source.
        about: what else to know of it, as JSON values, such as the revision on the hub or the order of its labels.
        function: `package.module:callable` if it is a function, which the processes of this cell may import.
    """

    form: str
    name: str
    fingerprint: str
    about: dict[str, Any] = field(default_factory=dict)
    function: str | None = None

    def stored(self) -> dict[str, Any]:
        """As `provenance.system` of a record."""
        return {"form": self.form, "name": self.name, "fingerprint": self.fingerprint, **self.about}
