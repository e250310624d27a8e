"""Storing tensors that hold many zeros in fewer bytes, bit for bit.

A sparse encoding saves bytes on disk only: on load the tensor is dense again, in memory and in every operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.base.errors import ArtifactError

Parts = dict[str, Tensor]

# What one more encoded tensor costs in safetensors' header and in layers.json, at most.
ENTRY_BYTES = 512
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def encode(tensor: Tensor) -> tuple[dict[str, Any] | None, Parts]:
    """The smallest of dense, bitmask and indices that gives `tensor` back bit for bit.

    Only elements whose bits are all zero (+0.0, not -0.0) are left out. `bitmask` is one bit per element plus the
    values, `indices` one int32 per value plus the values.

    Returns:
        What `decode` needs (None for dense: encoding, shape, dtype) and the tensors to store by part name ("" for
        dense; "mask" uint8 or "indices" int32, with "values").
    """
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if flat.dtype.is_complex or flat.element_size() not in _INTEGERS or flat.numel() >= 2**31:
        return None, {"": _own(tensor)}
    kept = flat.view(_INTEGERS[flat.element_size()]) != 0
    values_bytes = int(kept.sum()) * flat.element_size()
    sizes = {
        "dense": flat.numel() * flat.element_size(),
        "bitmask": (flat.numel() + 7) // 8 + values_bytes + ENTRY_BYTES,
        "indices": 4 * int(kept.sum()) + values_bytes + ENTRY_BYTES,
    }
    best = min(sizes, key=lambda name: sizes[name])
    if best == "dense":
        return None, {"": _own(tensor)}
    if best == "bitmask":
        where = {"mask": torch.from_numpy(np.packbits(kept.numpy()))}
    else:
        where = {"indices": kept.nonzero().reshape(-1).to(torch.int32)}
    form = {"encoding": best, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
    return form, {**where, "values": flat[kept]}


def decode(form: dict[str, Any] | None, part: Callable[[str], Tensor], *, where: str) -> Tensor:
    """The dense tensor that `encode` was given.

    Args:
        form: what `encode` returned first.
        part: the stored tensor of a part name.
        where: the tensor's name, for messages.

    Raises:
        ArtifactError: an unknown encoding, or parts that do not fit each other.
    """
    if form is None:
        return part("")
    dtype = getattr(torch, form["dtype"], None)
    values = part("values")
    count = int(np.prod(form["shape"], dtype=np.int64))
    if not isinstance(dtype, torch.dtype) or values.dtype != dtype:
        raise ArtifactError(f"{where}: values are {values.dtype}, expected {form['dtype']}")
    if form["encoding"] == "bitmask":
        mask = part("mask").numpy()
        if mask.size != (count + 7) // 8:
            raise ArtifactError(f"{where}: a mask of {mask.size} bytes for {count} elements")
        places = torch.from_numpy(np.flatnonzero(np.unpackbits(mask, count=count)))
    elif form["encoding"] == "indices":
        places = part("indices").long()
    else:
        raise ArtifactError(f"{where}: unknown encoding '{form['encoding']}'. Update bench to read it.")
    if len(places) != len(values) or (len(places) and not 0 <= int(places.min()) <= int(places.max()) < count):
        raise ArtifactError(f"{where}: {len(values)} values do not fit {len(places)} places in {count} elements")
    dense = torch.zeros(count, dtype=dtype)
    dense[places] = values
    return dense.reshape(form["shape"])


def _own(tensor: Tensor) -> Tensor:
    """`tensor` on the CPU, contiguous, in memory that holds nothing else, which safetensors asks for."""
    plain = tensor.detach().cpu().contiguous()
    alone = plain.untyped_storage().nbytes() == plain.numel() * plain.element_size()
    return plain if alone else plain.clone()
