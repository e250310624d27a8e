"""One finding of the doctor."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Diagnosis(NamedTuple):
    """What was checked, what was found, and what to do about it, if anything.

    `level` is `ok`, `note` if something cannot be measured or is worth knowing, and `problem` if measurements made
    here now would be unreliable.
    """

    topic: str
    level: Literal["ok", "note", "problem"]
    found: str
    advice: str = ""
