"""Masks in a file: one bit per unit or weight, under the names they have in a pruning."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from bench.base.errors import ArtifactError

FORMAT = "bench masks 1"


def save_masks(masks: Mapping[str, Tensor], path: Path) -> None:
    """Write masks over units or over weights to a safetensors file; a mask of n entries takes ceil(n / 8) bytes.

    Bits are in row-major order, the first of each byte the highest. Shapes stand in the file's metadata, which `format`
    names.

    Args:
        masks: name to a boolean tensor of any shape.
        path: of the file, which is overwritten.
    """
    import numpy as np
    from safetensors.numpy import save_file

    packed = {name: np.packbits(mask.detach().cpu().numpy().reshape(-1)) for name, mask in masks.items()}
    shapes = json.dumps({name: list(mask.shape) for name, mask in masks.items()})
    save_file(packed, path, metadata={"format": FORMAT, "shapes": shapes})


def load_masks(path: Path) -> dict[str, Tensor]:
    """The masks of a file that `save_masks` wrote, bit for bit; raises `ArtifactError` for any other file."""
    import numpy as np
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stream:
            about = stream.metadata() or {}
            packed = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read as a mask file: {error}") from error
    if about.get("format") != FORMAT:
        raise ArtifactError(f"{path}: the format is {about.get('format')!r}, expected '{FORMAT}'")
    masks = {}
    for name, shape in json.loads(about["shapes"]).items():
        bits = np.unpackbits(packed[name], count=math.prod(shape))
        masks[name] = torch.from_numpy(bits.astype(bool)).reshape(shape)
    return masks
