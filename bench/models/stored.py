"""What the safetensors files of a checkpoint hold, by their headers, and whether bench can read such numbers."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Bytes of an element of each dtype that a weight may have; safetensors' names.
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
FLOAT32_BYTES = 4
# Buffers of whole numbers that older versions of transformers wrote beside the weights: 0, 1, 2, ... and zeros.
BUFFERS = ("position_ids", "token_type_ids")
_CONFIGS = ("quantization_config", "compression_config")
_INSTEAD = (
    "Supported weights are float32, float16, bfloat16 and float64. Give the original float checkpoint, and quantize "
    "it with a recipe (`bench list recipes`)."
)


class FileTensor(NamedTuple):
    """One tensor in a file: safetensors' name of its dtype, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a checkpoint held when it was opened.

    `bytes_by_dtype` is tensor data by safetensors' names (`F16`). `widened_bytes` is by how much the float32 model
    made of it is larger than the same tensors were: 2 bytes per element of a float16 one. `order` is, for each label of
    the task, the output of the stored head that stands for it, if any changed places; `set_aside` says that the stored
    head was not used, though it has as many outputs, since it is of another task or a new one was asked for.
    """

    bytes_by_dtype: dict[str, int]
    widened_bytes: int
    order: tuple[int, ...] = ()
    set_aside: bool = False


def stored_tensors(directory: Path, *, where: str) -> dict[str, FileTensor]:
    """Every tensor of the weights by name; no tensor is read. Raises `ModelError` if a header cannot be read."""
    found: dict[str, FileTensor] = {}
    for path in tensor_files(directory, where):
        for name, entry in _header(path, where).items():
            if name != "__metadata__":
                found[name] = FileTensor(str(entry["dtype"]), tuple(entry["shape"]))
    return found


def bytes_by_dtype(tensors: Mapping[str, FileTensor]) -> dict[str, int]:
    """Bytes of floating-point tensors by dtype; the buffers of whole numbers hold no weights."""
    found: Counter[str] = Counter()
    for tensor in tensors.values():
        if tensor.dtype in FLOATS:
            found[tensor.dtype] += FLOATS[tensor.dtype] * math.prod(tensor.shape)
    return dict(sorted(found.items()))


def widened_bytes(model: nn.Module, tensors: Mapping[str, FileTensor]) -> int:
    """By how many bytes the float32 `model`, each tensor once, exceeds what `tensors` took; narrowed ones add nothing.

    A tensor that is not in the file, such as one of a new head, counts as float32.
    """
    found = (
        (value, FLOATS.get(file.dtype, FLOAT32_BYTES)) for value, file in _matched(model, tensors).values() if file
    )
    return sum(max(0, FLOAT32_BYTES - size) * value.numel() for value, size in found)


def new_weights(model: nn.Module, tensors: Mapping[str, FileTensor]) -> tuple[str, ...]:
    """The parameters of `model` that are not in the file in their shape, by name, each once: nothing trained them."""
    import torch

    matched = _matched(model, tensors).items()
    return tuple(name for name, (value, file) in matched if file is None and isinstance(value, torch.nn.Parameter))


def _matched(model: nn.Module, tensors: Mapping[str, FileTensor]) -> dict[str, tuple[Tensor, FileTensor | None]]:
    """Each tensor of `model` once, by its first name, and the one of the file that has its name and its shape."""
    prefixes = [f"{prefix}." for prefix in {getattr(module, "base_model_prefix", "") for module in model.modules()}]
    held = {plain_name(name, prefixes): tensor for name, tensor in tensors.items()}
    known: dict[int, str] = {}  # the first name of a tensor that has several
    matched: dict[str, tuple[Tensor, FileTensor | None]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        first, parts = known.setdefault(id(value), name), name.split(".")
        for start in range(min(3, len(parts))):  # below one half of a translator, or below the base model
            found = held.get(".".join(parts[start:]))
            if found is not None and found.shape == tuple(value.shape) and not matched.get(first, (value, None))[1]:
                matched[first] = (value, found)
        matched.setdefault(first, (value, None))
    return matched


def plain_name(name: str, prefixes: list[str]) -> str:
    """A stored name without the base model's prefix, and with today's names of a normalisation's tensors."""
    for prefix in prefixes:
        if len(prefix) > 1:
            name = name.removeprefix(prefix)
    head, dot, leaf = name.rpartition(".")
    return head + dot + {"gamma": "weight", "beta": "bias"}.get(leaf, leaf)


def require_floats(directory: Path, *, where: str) -> None:
    """Raise `ModelError`, with the name, for a quantized checkpoint, whose integers would otherwise be read as weights.

    Told by `config.json`, which says how a quantized checkpoint is to be read, and by the dtypes in the file.
    """
    settings = _object(directory / "config.json", where)
    nested = {key: value for key, value in settings.items() if isinstance(value, dict)}
    for place, part in {"": settings, **{f"{key}.": value for key, value in nested.items()}}.items():
        for key in _CONFIGS:
            if part.get(key):
                raise ModelError(
                    f"{where}: config.json: {place}{key}: the checkpoint is quantized by {_method(part[key])}, which "
                    f"bench does not support. {_INSTEAD} If its weights are plain floats, remove {key} from "
                    f"config.json."
                )
    odd = {
        name: tensor
        for name, tensor in stored_tensors(directory, where=where).items()
        if tensor.dtype not in FLOATS and name.rpartition(".")[2] not in BUFFERS
    }
    if odd:
        name, tensor = next(iter(sorted(odd.items())))
        raise ModelError(
            f"{where}: '{name}' {list(tensor.shape)} is stored as {tensor.dtype} ({len(odd)} such): the weights are "
            f"quantized, but config.json does not say how. {_INSTEAD}"
        )


def tensor_files(directory: Path, where: str) -> list[Path]:
    """The safetensors files that transformers reads: one, or the shards that the index names."""
    single, index = directory / "model.safetensors", directory / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        shards = _object(index, where).get("weight_map")
        if isinstance(shards, dict):
            return [directory / name for name in sorted({str(shard) for shard in shards.values()})]
    return sorted(directory.glob("*.safetensors"))


def _method(found: Any) -> str:
    """How a checkpoint was quantized, in words: `gptq, 4 bits`."""
    if not isinstance(found, dict):
        return str(found)
    named = found.get("quant_method") or found.get("format") or "an unnamed method"
    bits = found.get("bits") or (8 if found.get("load_in_8bit") else 4 if found.get("load_in_4bit") else None)
    return f"{named}, {bits} bits" if bits else str(named)


def _header(path: Path, where: str) -> dict[str, Any]:
    """The JSON at the beginning of a safetensors file: 8 bytes of its length, little-endian, and the text."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError(f"it should be {length:,} bytes long, which is more than the file has")
            text = stream.read(length)
        header = json.loads(text)
        if not isinstance(header, dict):
            raise ValueError(f"expected a JSON object, found {type(header).__name__}")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{where}: {path.name}: its header cannot be read: {error}. Copy or download the file again."
        ) from error
    return header


def _object(path: Path, where: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: {path.name} cannot be read: {error}") from error
    return data if isinstance(data, dict) else {}
