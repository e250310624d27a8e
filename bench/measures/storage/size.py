"""Bytes of the artifact on disk, what they should be by arithmetic, and the compression ratio that they make."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.artifacts.artifact import LAYERS, WEIGHTS, graph_in, size_bytes, weight_files
from bench.base.errors import ArtifactError
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.storage.theory import resident_bytes, theoretical_bytes
from bench.runtimes.runtime import graph_runtime

if TYPE_CHECKING:
    from bench.artifacts.graph_form import GraphForm

_LENGTH = 8  # of the input for which a graph is read: what it stores does not depend on it
_DTYPES = {"float32": "F32", "float16": "F16", "int8": "I8", "uint8": "U8", "int32": "I32"}  # as in safetensors


class Container(NamedTuple):
    """What a weights file is made of: tensor data and elements by stored dtype (`F32`, `I8`, ...), and the rest.

    `header_bytes` are the 8 bytes of length and the JSON, `padding_bytes` its blanks at the end and gaps between
    tensors.
    """

    bytes_by_dtype: dict[str, int]
    elements_by_dtype: dict[str, int]
    header_bytes: int
    padding_bytes: int

    @property
    def data_bytes(self) -> int:
        """Tensor data of every dtype together."""
        return sum(self.bytes_by_dtype.values())


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Where the bytes on disk beyond the theoretical ones are; the parts add up to the difference exactly.

    `beyond_theory` is tensor data beyond elements * bits / 8: above 0 if numbers are stored wider than their layer
    says, such as 2-bit weights held in bytes. `encodings` is what layers.json says of sparse tensors, `layers` the rest
    of that file.
    """

    container_header: int
    alignment: int
    layers: int
    encodings: int
    beyond_theory: int


def read_container(directory: Path) -> Container:
    """What the weights file of an artifact is made of, from its header; no tensor is read.

    The header of a safetensors file is 8 bytes of length, little-endian, and JSON with blanks behind it
    (huggingface/safetensors, README, "Format"). Raises `ArtifactError` if it cannot be read.
    """
    graph = graph_in(directory)
    if graph is not None:
        return _graph_container(directory, graph)
    path = directory / WEIGHTS
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            text = stream.read(length)
        header = json.loads(text)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: header of the weights cannot be read: {error}. Make the artifact again."
        ) from error
    data: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    for name, tensor in header.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            data[tensor["dtype"]] += end - start
            elements[tensor["dtype"]] += math.prod(tensor["shape"])
    header_bytes = 8 + len(text.rstrip(b" "))
    return Container(
        bytes_by_dtype={dtype: count for dtype, count in data.items() if count},
        elements_by_dtype={dtype: count for dtype, count in elements.items() if count},
        header_bytes=header_bytes,
        padding_bytes=file_bytes - header_bytes - data.total(),
    )


def _graph_container(directory: Path, graph: GraphForm) -> Container:
    """What the files of a graph are made of; scales and constants are `other`, all that is no tensor the header."""
    found = graph_runtime(graph.runtime).operators(
        {name: directory / name for name in graph.files}, rows=1, length=_LENGTH
    )
    data: Counter[str] = Counter({"other": found.side_bytes} if found.side_bytes else {})
    elements: Counter[str] = Counter()
    for each in found.stored:
        name = _DTYPES.get(each.dtype, each.dtype)
        data[name] += each.bytes
        elements[name] += each.counted.elements
    return Container(
        bytes_by_dtype=dict(data),
        elements_by_dtype=dict(elements),
        header_bytes=sum(path.stat().st_size for path in weight_files(directory)) - data.total(),
        padding_bytes=0,
    )


def explain(directory: Path, container: Container, theoretical: int) -> Explained:
    """Where the bytes of the artifact in `directory` beyond the `theoretical` ones are."""
    path = directory / LAYERS
    try:
        text = path.read_text(encoding="utf-8")
        layers = json.loads(text)
        if "encodings" in layers:
            layers["encodings"] = {}
        bare = json.dumps(layers, indent=1, sort_keys=True) + "\n"
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}. Make the artifact again.") from error
    return Explained(
        container_header=container.header_bytes,
        alignment=container.padding_bytes,
        layers=len(bare.encode()),
        encodings=len(text.encode()) - len(bare.encode()),
        beyond_theory=container.data_bytes - theoretical,
    )


class Size(Measure):
    """Compares the bytes of two artifacts: weights and side data, without tokenizer and notes."""

    name = "size"
    columns = ("size_bytes", "size_bytes_theoretical", "compression")
    says = (
        "bytes on disk of weights and side data, their theoretical size, and the compression ratio to the given model"
    )
    budget_s = 1.0

    def read(self, pair: Pair) -> Reading:
        """Read both directories; warns `not-smaller` if compressing saved no byte.

        Everything is trained and measured in float32. If the model's files held float16 or bfloat16, the reference is
        larger than what was given, and that difference is no compression: the ratio is against what was given.
        """
        mine, theirs = size_bytes(pair.artifact_dir), size_bytes(pair.reference_dir)
        given = theirs - pair.widened_bytes
        theory, reference_theory = theoretical_bytes(pair.artifact.model), theoretical_bytes(pair.reference.model)
        reading = Reading(
            conditions={
                "theoretical": "elements * bits / 8 over every stored tensor, scales, masks and indices included",
                **_details(pair.artifact_dir, theory),
                "resident_bytes": resident_bytes(pair.artifact.model),
                "given_bytes": given,
                "reference": {
                    **_details(pair.reference_dir, reference_theory),
                    "resident_bytes": resident_bytes(pair.reference.model),
                },
            }
        )
        reading.give("size_bytes", mine, reference=theirs)
        reading.give("size_bytes_theoretical", theory, reference=reference_theory)
        reading.give("compression", given / mine, reference=given / theirs)
        if pair.widened_bytes:
            reading.warn(
                "given-in-half-precision",
                f"the model's files store half precision ({given:,} bytes), and the reference is float32 ({theirs:,} "
                f"bytes). `compression` is relative to the files; `size_bytes` of the reference is the float32 size.",
            )
        if not pair.is_reference and mine >= given:
            what = "the given model" if pair.widened_bytes else "its reference"
            reading.warn(
                "not-smaller",
                f"the artifact takes {mine:,} bytes and {what} {given:,}, so the recipe saved no storage. Add a stage "
                f"that stores fewer or smaller numbers, or do not report it as smaller.",
            )
        return reading


def _details(directory: Path, theoretical: int) -> dict[str, dict[str, int]]:
    container = read_container(directory)
    return {
        "stored_bytes_by_dtype": container.bytes_by_dtype,
        "stored_elements_by_dtype": container.elements_by_dtype,
        "size_explained": asdict(explain(directory, container, theoretical)),
    }


MEASURES.register("size")(Size())
