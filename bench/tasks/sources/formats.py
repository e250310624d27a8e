"""The file formats that rows are read from, by name, and which of them a file has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.base.errors import DataError
from bench.spec.data import Format, TableData
from bench.tasks.sources.decoding import ZIPPED, lines_of, read_text
from bench.tasks.sources.delimited import read_delimited
from bench.tasks.sources.json_rows import read_json, read_json_lines
from bench.tasks.sources.rows import Row, Table
from bench.tasks.sources.smart import read_smart

TEXT = "text"  # the format of one text per line, and its column
ENDINGS: dict[str, Format] = {
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".json": "json",
    ".parquet": "parquet",
    ".txt": "text",
}


def read_file(path: Path, data: TableData, *, name: str) -> Table:
    """The rows of one file; `name` is what messages and notes call it.

    Raises `DataError` for a file that cannot be read or is malformed, with its line, and for an unknown format.
    """
    return FORMATS[format_of(path, data, name=name)](path, data, name=name)


def format_of(path: Path, data: TableData, *, name: str) -> Format:
    """The stated format, or the one of the file's ending; a file with another ending and a delimiter is a table."""
    if data.format is not None:
        return data.format
    ending = (path.with_suffix("") if path.suffix == ZIPPED else path).suffix.lower()
    found = ENDINGS.get(ending)
    if data.delimiter is not None and found in (None, "text"):
        return "csv"
    if found is None:
        raise DataError(
            f"{name}: its ending does not say what it holds. Set format (--format) to one of {', '.join(FORMATS)}; "
            "export a table of another program as CSV."
        )
    return found


def _read_lines(path: Path, data: TableData, *, name: str) -> Table:
    """One text per line, without the white space around it."""
    lines = [line.strip() for line in lines_of(read_text(path, name=name, encoding=data.encoding))]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{name}: no text; expected one sentence or paragraph per line")
    return Table(name, (TEXT,), (Row({TEXT: line}, name, row) for row, line in enumerate(lines, start=1)), [], {})


def _read_document(path: Path, data: TableData, *, name: str) -> Table:
    """The whole file as one text, without the white space around it."""
    text = read_text(path, name=name, encoding=data.encoding).strip()
    if not text:
        raise DataError(f"{name}: no text; expected one text per file. Remove the file, or fill it in.")
    return Table(name, (TEXT,), iter([Row({TEXT: text}, name, 1)]), [], {})


def _read_parquet(path: Path, data: TableData, *, name: str) -> Table:
    """The rows of a Parquet file, batch by batch; the names of its classes if `datasets` wrote them into it."""
    del data
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{name}: cannot be read as Parquet: {error}") from error
    columns = tuple(file.schema_arrow.names)

    def rows() -> Iterator[Row]:
        number = 0
        for batch in file.iter_batches(batch_size=4096):
            for values in batch.to_pylist():
                yield Row(values, name, f"row {number}")
                number += 1

    return Table(name, columns, rows(), [], class_names(file.schema_arrow.metadata))


def class_names(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """The names of class indices by column, from what `datasets` writes into the metadata of a table."""
    written = (metadata or {}).get(b"huggingface")
    features = json.loads(written).get("info", {}).get("features", {}) if written else {}
    found = {column: each.get("names") for column, each in features.items() if isinstance(each, dict)}
    return {column: tuple(names) for column, names in found.items() if names}


Reader = Callable[..., Table]
FORMATS: dict[Format, Reader] = {
    "csv": partial(read_delimited, delimiter=","),
    "tsv": partial(read_delimited, delimiter="\t"),
    "jsonl": read_json_lines,
    "json": read_json,
    "parquet": _read_parquet,
    "text": _read_lines,
    "document": _read_document,
    "smart": read_smart,
}
