"""Encoded examples in little memory, and on disk, so that a large data set is encoded once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from typing_extensions import override

from bench.records.record import write_bytes
from bench.spec.suite import fingerprint
from bench.tasks.features import Feature

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    from bench.spec.suite import Task
    from bench.tasks.examples import Example
    from bench.tasks.kinds.kind import TaskKind

    Array = np.ndarray[Any, Any]

KEPT = 10_000  # from so many examples on, what was encoded is kept on disk
CHUNK = 20_000  # examples that are encoded at a time; Python's lists of so many take some 100 MB
_INPUT, _TARGET, _EXAMPLE, _OFFSETS = "input.", "target.", "example", "offsets"
_LAYOUT = 1  # of what is kept; raised if the same examples would give other features
_OUTSIDE = -1  # both characters of a token outside the context


def encode(
    kind: TaskKind, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
) -> Sequence[Feature]:
    """What `kind.encode` gives, in a tenth of the memory if the kind encodes each example by itself."""
    if not kind.one_by_one or not examples:
        return kind.encode(examples, tokenizer, task=task, max_length=max_length, training=training)
    parts = []
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        features = kind.encode(chunk, tokenizer, task=task, max_length=max_length, training=training)
        if features:  # a part of which training can use nothing has no columns
            parts.append(_table(features, first=start))
    if not parts:
        return []
    import pyarrow

    return Encoded(pyarrow.concat_tables(parts).combine_chunks())


def encode_once(
    kind: TaskKind,
    examples: Sequence[Example],
    tokenizer: Any,
    *,
    task: Task,
    max_length: int,
    folder: Path,
    split: str,
) -> Sequence[Feature]:
    """The features of a training split with targets, read from `folder` if it was encoded there before.

    Args:
        kind: encodes the examples.
        examples: all of the split.
        tokenizer: a fast tokenizer.
        task: what the kind is given.
        max_length: most tokens per feature.
        folder: of the store's entry of these examples.
        split: their name in it.
    """
    if len(examples) < KEPT or not kind.one_by_one:
        return encode(kind, examples, tokenizer, task=task, max_length=max_length, training=True)
    path = folder / f"encoded-{split}-{_key(tokenizer, task, max_length)}.parquet"
    if path.exists():
        return Encoded.read(path)
    features = encode(kind, examples, tokenizer, task=task, max_length=max_length, training=True)
    if isinstance(features, Encoded):
        features.write(path)
    return features


def part_of(features: Sequence[Feature], rows: Sequence[int]) -> Sequence[Feature]:
    """The features at the positions `rows`, in that order, in as little memory as `features` have."""
    return features.part(rows) if isinstance(features, Encoded) else [features[row] for row in rows]


def _key(tokenizer: Any, task: Task, max_length: int) -> str:
    """What the features of the same examples depend on: the tokenizer, all of the task, and the libraries."""
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    called = {name: value for name, value in inner.items() if name not in ("truncation", "padding")}  # set by each call
    called["truncation side"] = tokenizer.truncation_side
    called["special tokens"] = {role: str(token) for role, token in tokenizer.special_tokens_map.items()}
    libraries = [version(name) for name in ("tokenizers", "transformers")]
    about = task.model_dump(mode="json", exclude={"title"})
    return fingerprint([called, tokenizer.model_input_names, about, max_length, libraries, _LAYOUT], 16)


class Encoded(Sequence[Feature]):
    """Features as flat arrays; each is made when it is asked for, and equals the one that was packed."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table
        self._columns = {name: _flat(table.column(name)) for name in table.column_names}

    @override
    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, row: int) -> Feature: ...

    @overload
    def __getitem__(self, row: slice) -> list[Feature]: ...

    @override
    def __getitem__(self, row: int | slice) -> Feature | list[Feature]:
        if isinstance(row, slice):
            return [self._feature(each) for each in range(len(self))[row]]
        return self._feature(range(len(self))[row])

    @override
    def __iter__(self) -> Iterator[Feature]:
        return map(self._feature, range(len(self)))

    def lengths(self) -> list[int]:
        """Tokens of each feature: those of its longest candidate times their number, if it has several."""
        offsets, *inner = self._columns[f"{_INPUT}input_ids"]
        sizes = _sizes(offsets)
        if len(inner) == 1:
            return list(map(int, sizes))
        each = _sizes(inner[0])  # tokens of each candidate
        return [int(each[start:end].max(initial=0)) * int(end - start) for start, end in pairwise(offsets)]

    def part(self, rows: Sequence[int]) -> Encoded:
        """Those at the positions `rows`, in that order."""
        return Encoded(self._table.take(list(rows)).combine_chunks())

    def write(self, path: Path) -> None:
        """Write them to a Parquet file, in one step; raises `RecordError` if that fails."""
        import pyarrow
        from pyarrow import parquet

        sink = pyarrow.BufferOutputStream()
        parquet.write_table(self._table, sink, compression="zstd")
        write_bytes(path, sink.getvalue().to_pybytes())

    @classmethod
    def read(cls, path: Path) -> Encoded:
        """What `write` wrote."""
        from pyarrow import parquet

        return cls(parquet.read_table(path, partitioning=None).combine_chunks())

    def _feature(self, row: int) -> Feature:
        found = {name: _row(levels, row) for name, levels in self._columns.items()}
        spans = found.get(_OFFSETS)
        return Feature(
            inputs={name.removeprefix(_INPUT): value for name, value in found.items() if name.startswith(_INPUT)},
            targets={name.removeprefix(_TARGET): value for name, value in found.items() if name.startswith(_TARGET)},
            example=found[_EXAMPLE],
            offsets=None if spans is None else tuple(map(_span, zip(spans[::2], spans[1::2], strict=True))),
        )


def _span(characters: tuple[int, int]) -> tuple[int, int] | None:
    return None if characters[0] == _OUTSIDE else characters


def _table(features: Sequence[Feature], *, first: int) -> pyarrow.Table:
    """Features as a table with a row each; `first` is added to the index of their examples."""
    import pyarrow

    columns: dict[str, Any] = {_EXAMPLE: pyarrow.array([each.example + first for each in features], pyarrow.int32())}
    for name in features[0].inputs:
        columns[_INPUT + name] = _array([each.inputs[name] for each in features])
    for name in features[0].targets:
        columns[_TARGET + name] = _array([each.targets[name] for each in features])
    if features[0].offsets is not None:
        columns[_OFFSETS] = _array([_characters(each) for each in features])
    return pyarrow.table(columns)


def _characters(feature: Feature) -> list[int]:
    """Start and end of every token's characters, one after the other."""
    return [edge for span in feature.offsets or () for edge in span or (_OUTSIDE, _OUTSIDE)]


def _array(values: list[Any]) -> pyarrow.Array:
    """Numbers, or lists of token ids to any depth, as 32-bit integers; other numbers in full precision."""
    import pyarrow

    depth, inner = 0, values[0]
    while isinstance(inner, list):
        depth, inner = depth + 1, next(iter(inner), 0)
    kind = pyarrow.float64() if isinstance(inner, float) else pyarrow.int32()
    for _ in range(depth):
        kind = pyarrow.list_(kind)
    return pyarrow.array(values, kind)


def _flat(column: pyarrow.ChunkedArray) -> tuple[Array, ...]:
    """The offsets of each level of lists, outermost first, and then the numbers."""
    import pyarrow

    array = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pyarrow.ChunkedArray) else array
    levels: list[Array] = []
    while pyarrow.types.is_list(array.type):
        levels.append(array.offsets.to_numpy())
        array = array.values
    return (*levels, array.to_numpy())


def _row(levels: tuple[Array, ...], row: int) -> Any:
    if len(levels) == 1:
        return levels[0][row].item()
    start, end = int(levels[0][row]), int(levels[0][row + 1])
    if len(levels) == 2:
        return levels[1][start:end].tolist()
    return [_row(levels[1:], inner) for inner in range(start, end)]


def _sizes(offsets: Array) -> Array:
    return offsets[1:] - offsets[:-1]
