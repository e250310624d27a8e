"""Output streams whose encoding lacks characters that bench prints: these are replaced, and nothing stops for them."""

from __future__ import annotations

import codecs
import io
import sys

_HANDLER = "bench-replace"
_ALIKE = {
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{UPWARDS ARROW}": "^",
    "\N{DOWNWARDS ARROW}": "v",
    **{mark: f"^{digit}" for digit, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},  # "-4" would read as a number
}


def replace_what_is_lacking() -> None:
    """Let standard output and standard error replace characters that their encoding lacks.

    Python's own setting for standard output is to stop with an error. An ASCII stream, which mostly is a terminal whose
    locale nobody set, gets UTF-8 from typer instead.
    """
    codecs.register_error(_HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The replacement of characters that cannot be encoded: a similar letter, otherwise a question mark each."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ALIKE.get(letter, "?") for letter in lacking), error.end
