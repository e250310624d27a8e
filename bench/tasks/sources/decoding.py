"""The text of a file on disk: unzipped, decoded by its byte order mark or as the data set says, and free of NULs."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from bench.base.errors import DataError

ZIPPED = ".gz"
_MAGIC = b"\x1f\x8b"
_FOREIGN = {  # how files begin that are no text, and what they are
    b"PK\x03\x04": "a ZIP archive or an Excel workbook. Unpack it, or export the table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook. Export the table as CSV",
    b"PAR1": 'a Parquet file. Set format = "parquet" (--format parquet)',
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with UTF-16's mark, so it is tried first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, *, name: str, encoding: str | None = None) -> str:
    """The text of a file, without a byte order mark; `name` is what messages call it.

    Raises `DataError` for a file that cannot be opened or unzipped, with the line of the first byte that is not of
    the encoding, and for NUL bytes.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ZIPPED or content.startswith(_MAGIC):
            content = gzip.decompress(content)
    except gzip.BadGzipFile as error:
        raise DataError(f"{name}: not a gzip file, though its name ends in {ZIPPED}; rename it, or zip it") from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{name}: a damaged gzip file: {error}. Download or make it again.") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error}") from error
    foreign = next((what for mark, what in _FOREIGN.items() if content.startswith(mark)), None)
    if foreign is not None:
        raise DataError(f"{name}: not text, but {foreign}.")
    marked = next((found for mark, found in _MARKS if content.startswith(mark)), None)
    try:
        text = content.decode(marked or encoding or "utf-8")
    except LookupError as error:
        raise DataError(f"{name}: no encoding named '{encoding}'; Python knows utf-8, latin-1, utf-16, …") from error
    except UnicodeDecodeError as error:
        raise _undecodable(name, content, error, called=(marked or encoding or "utf-8").upper()) from error
    del content
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{name}:{line}: a NUL byte, so this is not plain text. If it is UTF-16 without a byte order mark, add "
            'encoding = "utf-16-le" (--encoding utf-16-le); otherwise download or export the file again.'
        )
    return text


def _undecodable(name: str, content: bytes, error: UnicodeDecodeError, *, called: str) -> DataError:
    called = called.removesuffix("-SIG")
    line = content.count(b"\n", 0, error.start) + 1
    before = content[: error.start]
    mixed = not before.isascii()
    found = f"{name}:{line}: cannot be read as {called} text: byte 0x{content[error.start]:02x} at offset {error.start}"
    if mixed:
        return DataError(
            f"{found}, though the lines before hold characters that are {called}. The file mixes two encodings: write "
            "all of it in UTF-8."
        )
    return DataError(
        f'{found}. If the file is in another encoding, name it, such as encoding = "latin-1" (--encoding latin-1).'
    )


def lines_of(text: str) -> list[str]:
    """The lines without their ends and without the empty ones at the end.

    Only a line feed ends a line, or a carriage return in a file that has no line feed.
    """
    lines = text.split("\n") if "\n" in text else text.split("\r")
    while lines and not lines[-1].strip("\r"):
        lines.pop()
    return lines
