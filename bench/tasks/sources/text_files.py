"""Plain text on disk, one sentence or paragraph per line, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from bench.base.errors import DataError

_ZIPPED = ".gz"


def find_text(data_dir: Path, names: Sequence[str], *, what: str, advice: str = "") -> Path:
    """The first of `names` below `data_dir` that is there, as it is or with `.gz` behind it.

    Raises `DataError` that says what was looked for, names every path, and ends with `advice`.
    """
    looked = [data_dir / (name + ending) for name in names for ending in ("", _ZIPPED)]
    for path in looked:
        if path.is_file():
            return path
    listed = "".join(f"\n  {path}" for path in looked)
    raise DataError(
        f"no file with {what} in {data_dir}. Put it at one of these paths:{listed}" + f"\n{advice}" * bool(advice)
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, unzipped if its name ends in `.gz`, without the white space around each.

    The empty lines at the end are left out, those in between are kept. Raises `DataError` if the file cannot be
    read, or has no text.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == _ZIPPED else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path}: no text; expected one sentence or paragraph per line")
    return lines
