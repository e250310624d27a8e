"""ONNX files: their name and size, and what one refers to, read without any library before a runtime sees it.

The layout of protocol buffers: a field is a varint of number and wire type, then a varint, 8 bytes, a length with that
many bytes, or 4 bytes. Numbers of fields are those of onnx.proto3.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.base.errors import MethodError, ModelError

MODEL = "model.onnx"
_LARGEST = 2**31 - 1  # of a file in the format, which bench keeps in one piece
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a TensorProto
# The messages in which a tensor may be, by the field that holds the next one.
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


class _Field(NamedTuple):
    """A field of a message: its number, and where its bytes begin and end; a number in `value` if it is a varint."""

    number: int
    begin: int
    end: int
    value: int


def refuse_external(model: bytes | Path) -> None:
    """Raise `ModelError` if an ONNX file is none, or keeps a tensor in another file, which could be any file at all."""
    if isinstance(model, bytes):
        _check(model, MODEL)
        return
    with model.open("rb") as stream:
        if not model.stat().st_size:
            raise ModelError(f"{model}: an empty file, which is no ONNX graph")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check(data, str(model))


def _check(data: Any, where: str) -> None:
    try:
        outside = _external(data, "model", 0, len(data))
    except (IndexError, ValueError, RecursionError) as error:
        raise ModelError(f"{where}: not an ONNX graph: its bytes are no protocol buffer") from error
    if outside:
        raise ModelError(
            f"{where}: the graph keeps tensors in another file (external data), and bench reads graphs of one file "
            "only. Save it again with onnx.save(onnx.load(PATH), NEW_PATH)."
        )


def _external(data: Any, message: str, begin: int, end: int) -> bool:
    inside = _INSIDE[message]
    for each in _fields(data, begin, end):
        if message == "tensor" and (
            each.number == _EXTERNAL_DATA or (each.number == _DATA_LOCATION and each.value == 1)
        ):
            return True
        if each.number in inside and _external(data, inside[each.number], each.begin, each.end):
            return True
    return False


def _fields(data: Any, begin: int, end: int) -> Iterator[_Field]:
    place = begin
    while place < end:
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield _Field(number, place, place, value)
            continue
        if wire == 2:
            length, place = _varint(data, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if place + length > end:
            raise ValueError("a field beyond its message")
        yield _Field(number, place, place + length, 0)
        place += length


def _varint(data: Any, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def named(model: bytes | Path) -> str:
    """What a graph is called in messages."""
    return MODEL if isinstance(model, bytes) else str(model)


def first_line(error: Exception) -> str:
    """The first line of what an exporter or a runtime says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def check_size(data: bytes) -> bytes:
    """`data`; raises `MethodError` if one file of the format cannot hold it."""
    if len(data) > _LARGEST:
        raise MethodError(f"export: a graph of {len(data):,} bytes; one ONNX file holds at most 2 GiB")
    return data
