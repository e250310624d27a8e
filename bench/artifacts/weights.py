"""Reading the tensors of a weights file, each dense and in memory of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 2**19  # elements of a large tensor that are read at once


def names(path: Path) -> set[str]:
    """The tensors in a weights file, without the names of the parts they are stored in."""
    return {key.partition(":")[0] for key in _open(path, lambda stream: list(stream.keys()))}


def reader(path: Path, encodings: dict[str, Any]) -> Callable[[str], Tensor]:
    """A function from a tensor's name to the tensor, dense and in memory of its own."""
    from bench.artifacts.codec import decode

    def read(name: str) -> Tensor:
        def part(label: str) -> Tensor:
            return _copy(path, f"{name}:{label}" if label else name)

        return decode(encodings.get(name), part, where=f"{path}: {name}")

    return read


def _copy(path: Path, key: str) -> Tensor:
    """A stored tensor in memory of its own, at no moment there twice.

    A large one is copied block by block, and the file is opened again for each: what was read through a mapping counts
    as memory until it is closed.
    """
    import torch

    def block(start: int, stop: int | None) -> Tensor:
        tensor: Tensor = _open(path, lambda stream: stream.get_slice(key)[start:stop])
        return tensor

    def shape_and_small(stream: Any) -> tuple[list[int], Tensor | None]:
        shape: list[int] = stream.get_slice(key).get_shape()
        return shape, stream.get_tensor(key).clone() if math.prod(shape) <= _BLOCK else None

    shape, small = _open(path, shape_and_small)
    if small is not None:
        whole: Tensor = small
        return whole
    rows = max(1, _BLOCK // math.prod(shape[1:]))
    copy = torch.empty(shape, dtype=block(0, 1).dtype)
    for start in range(0, shape[0], rows):
        copy[start : start + rows] = block(start, start + rows)
    return copy


def _open(path: Path, use: Any) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            return use(stream)
    except SafetensorError as error:
        raise ArtifactError(f"{path}: cannot be read as a weights file: {error}") from error
