"""Per-example tables: Parquet files next to a record, written before it and checked when read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.base.errors import RecordError
from bench.records.record import read_record, write_bytes

Table = dict[str, list[Any]]


def table_path(record_path: Path, name: str) -> Path:
    """The file of the table `name` of the record at `record_path`, whether written or not."""
    return record_path.with_name(f"{record_path.stem}.{name}.parquet")


def write_tables(record_path: Path, readings: Iterable[Mapping[str, Table]]) -> dict[str, dict[str, Any]]:
    """Write the tables of every reading, by name, next to the record that is about to be written to `record_path`.

    A file left by a run that died before its record is overwritten; one that belongs to a record never is. Numbers are
    kept in 32 bits if that loses nothing, as with what a model gives.

    Returns:
        By table, what `read_table` finds in the record's provenance: `file`, `sha256` and `rows`.

    Raises:
        RecordError: the record exists already, or a file cannot be written.
    """
    if record_path.exists():
        raise RecordError(f"{record_path}: this record already exists, and records and their tables are never changed")
    written: dict[str, dict[str, Any]] = {}
    for tables in readings:
        for name, table in tables.items():
            if name in written:
                raise ValueError(f"two measures returned a table named '{name}'")
            path = table_path(record_path, name)
            digest = _write(path, table)
            written[name] = {"file": path.name, "sha256": digest, "rows": len(next(iter(table.values()), []))}
    return written


def read_table(record_path: Path, name: str) -> Table:
    """The table `name` of the record at `record_path`, column by column.

    Raises:
        RecordError: the record cannot be read or names no such table; the file is missing or is not the one that was
            written with the record.
    """
    from pyarrow import BufferReader, parquet

    known = read_record(record_path).provenance.get("tables", {})
    if name not in known:
        found = ", ".join(sorted(known)) or "none"
        raise RecordError(f"{record_path}: no table '{name}' was stored with this record. Stored: {found}.")
    path = record_path.with_name(known[name]["file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read: {error.strerror}. It belongs next to {record_path.name}; copy both together."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != known[name]["sha256"]:
        raise RecordError(
            f"{path}: not the file that {record_path.name} was written with: SHA-256 {digest[:12]}…, "
            f"expected {known[name]['sha256'][:12]}…. Copy it again from the record's source, or run the cell again."
        )
    table: Table = parquet.read_table(BufferReader(content)).to_pydict()
    return table


def _write(path: Path, table: Table) -> str:
    """Write one table in one step, so that after a crash the whole file is there or nothing; returns its SHA-256."""
    import pyarrow
    from pyarrow import parquet

    columns = {name: _narrowed(pyarrow.array(values)) for name, values in table.items()}
    sink = pyarrow.BufferOutputStream()
    texts = [name for name, values in columns.items() if pyarrow.types.is_string(values.type)]
    parquet.write_table(pyarrow.table(columns), sink, compression="zstd", use_dictionary=texts)
    content = sink.getvalue().to_pybytes()
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def _narrowed(values: Any) -> Any:
    """Numbers of 64 bits, alone or in lists, in 32 bits if every one of them stays equal."""
    import pyarrow

    wide, narrow = pyarrow.float64(), pyarrow.float32()
    for before, after in ((wide, narrow), (pyarrow.list_(wide), pyarrow.list_(narrow))):
        if values.type == before:
            small = values.cast(after)
            return small if small.cast(before).equals(values) else values
    return values
