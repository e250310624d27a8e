"""Bytes of the artifact on disk, and the compression ratio that they make."""

from __future__ import annotations

import json
from pathlib import Path

from bench.artifact import WEIGHTS, size_bytes
from bench.errors import ArtifactError
from bench.measures.measure import MEASURES, Measure, Pair, Reading


def stored_bytes(directory: Path) -> dict[str, int]:
    """Bytes of tensor data by stored dtype (`F32`, `I8`, ...), from the header of the artifact's weights.

    The header of a safetensors file is 8 bytes of length, little-endian, and JSON (huggingface/safetensors, README,
    "Format"). Raises `ArtifactError` where it cannot be read.
    """
    path = directory / WEIGHTS
    try:
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: header of the weights cannot be read: {error}. Make the artifact again."
        ) from error
    found: dict[str, int] = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            found[tensor["dtype"]] = found.get(tensor["dtype"], 0) + end - start
    return {dtype: count for dtype, count in found.items() if count}


class Size(Measure):
    """Compares the bytes of two artifacts: weights and side data, without tokenizer and notes."""

    name = "size"
    columns = ("size_bytes", "compression")
    says = "weights and side data on disk, and the reference's bytes over them"

    def read(self, pair: Pair) -> Reading:
        """Read both directories; warns `not-smaller` where compressing saved no byte."""
        mine, theirs = size_bytes(pair.artifact_dir), size_bytes(pair.reference_dir)
        by_dtype, reference_by_dtype = stored_bytes(pair.artifact_dir), stored_bytes(pair.reference_dir)
        reading = Reading(
            conditions={
                "stored_bytes_by_dtype": by_dtype,
                "reference_stored_bytes_by_dtype": reference_by_dtype,
                "size_bytes_theoretical": sum(by_dtype.values()),
                "reference_size_bytes_theoretical": sum(reference_by_dtype.values()),
                "theoretical": "elements * bits / 8 over every stored tensor, scales, masks and indices included",
            }
        )
        reading.give("size_bytes", mine, reference=theirs)
        reading.give("compression", theirs / mine, reference=1.0)
        if not pair.is_reference and mine >= theirs:
            reading.warn(
                "not-smaller",
                f"the artifact takes {mine:,} bytes and its reference {theirs:,}: the recipe saved no storage. Add a "
                "stage that stores fewer or smaller numbers, or do not report it as smaller.",
            )
        return reading


MEASURES.register("size")(Size())
