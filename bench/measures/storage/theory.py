"""What a model's stored form needs by arithmetic: bytes from elements, bit widths and zeros, not from a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from bench.layers.layer import TensorStorage
    from bench.layers.sharing import TensorSlot

_INDEX_BYTES = 4  # a place in a sparse tensor is an int32


def theoretical_bytes(model: nn.Module) -> int:
    """Bytes of every stored tensor of `model`, tied and shared ones once: elements * bits / 8.

    Scales, zero points, centroids and outliers are tensors and count. A tensor of many zeros counts in the smallest of
    the artifact's forms (`bench.artifacts.codec`): dense, one bit per element with the values that are not zero, or an
    int32 index beside each of them; a sparse form is taken if it saves more than its entry in the file costs. The
    weight of a packed layer has the width that its kernel multiplies, however it is held: what is stored beyond that
    shows as the difference to the artifact. A graph has no sparse form: each of its elements counts.
    """
    from bench.runtimes.graph_model import GraphModel

    if isinstance(model, GraphModel):
        return resident_bytes(model)
    return sum(_smallest(_storage(slot)) for slot in _stored(model))


def claimed_bytes(model: nn.Module) -> int:
    """What a paper would claim: weights and biases that are not zero, elements * bits / 8.

    Neither indices nor scales count, which is why this is a claim and not a size.
    """
    from bench.runtimes.graph_model import GraphModel

    if isinstance(model, GraphModel):
        return sum(each.nonzero_bytes for each in model.operators().stored)
    return sum(_storage(slot).nonzero_bytes for slot in _stored(model) if _is_parameter(slot))


def resident_bytes(model: nn.Module) -> int:
    """Bytes of the tensors that the loaded `model` holds, each memory once.

    Of a graph they are its constants as the file has them; its runtime may keep them in another layout.
    """
    from bench.runtimes.graph_model import GraphModel

    if isinstance(model, GraphModel):
        found = model.operators()
        return sum(each.bytes for each in found.stored) + found.side_bytes
    held = {}
    for tensor in (*model.parameters(), *model.buffers()):
        storage = tensor.untyped_storage()
        held[storage.data_ptr() if tensor.device.type != "meta" else id(tensor)] = storage.nbytes()
    return sum(held.values())


def _stored(model: nn.Module) -> list[TensorSlot]:
    from bench.layers.sharing import slots, tied_tensors

    tied = tied_tensors(model)
    return [slot for name, slot in slots(model).items() if name not in tied]


def _storage(slot: TensorSlot) -> TensorStorage:
    from bench.layers.layer import StoredModule, plain_storage

    owner = slot.owner
    return owner.storage(slot.leaf) if isinstance(owner, StoredModule) else plain_storage(slot.tensor)


def _is_parameter(slot: TensorSlot) -> bool:
    return slot.leaf in slot.owner._parameters or slot.leaf in ("weight", "bias")


def _smallest(tensor: TensorStorage) -> int:
    from bench.artifacts.codec import ENTRY_BYTES

    sparse = tensor.nonzero_bytes + min(math.ceil(tensor.elements / 8), _INDEX_BYTES * tensor.nonzero)
    return sparse if sparse + ENTRY_BYTES < tensor.dense_bytes else tensor.dense_bytes
