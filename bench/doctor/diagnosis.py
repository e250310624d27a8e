"""One thing the doctor found."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Diagnosis(NamedTuple):
    """What was looked at, what was found, and what to do about it, if anything.

    `level` is `ok`, `note` if something cannot be measured or is worth knowing, and `problem` if numbers made
    here now would not hold.
    """

    topic: str
    level: Literal["ok", "note", "problem"]
    found: str
    advice: str = ""
