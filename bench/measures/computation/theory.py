"""What a model's stored form needs by arithmetic: bytes from elements, bit widths and zeros, not from a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.layers.sharing import Slot

_INDEX_BYTES = 4  # a place in a sparse tensor is an int32


class _Stored(NamedTuple):
    """One stored tensor: its elements, those that are not zero, and the bits of one."""

    elements: int
    nonzero: int
    bits: int
    is_parameter: bool

    @property
    def dense_bytes(self) -> int:
        return math.ceil(self.elements * self.bits / 8)

    @property
    def nonzero_bytes(self) -> int:
        return math.ceil(self.nonzero * self.bits / 8)


def theoretical_bytes(model: nn.Module) -> int:
    """Bytes of every stored tensor of `model`, tied and shared ones once: elements * bits / 8.

    Scales, zero points, centroids and outliers are tensors and count. A tensor of many zeros counts in the smallest of
    the artifact's forms (`bench.artifacts.codec`): dense, one bit an element with the values that are not zero, or an
    int32 index beside each of them; a sparse form is taken where it saves more than its entry in the file costs. The
    weight of a packed layer has the width that its kernel multiplies, however it is held: what is stored beyond that
    shows as the difference to the artifact.
    """
    return sum(_smallest(tensor) for tensor in _stored(model))


def claimed_bytes(model: nn.Module) -> int:
    """What a paper would claim: weights and biases that are not zero, elements * bits / 8.

    Neither indices nor scales count, which is why this is a claim and not a size.
    """
    return sum(tensor.nonzero_bytes for tensor in _stored(model) if tensor.is_parameter)


def resident_bytes(model: nn.Module) -> int:
    """Bytes of the tensors that the loaded `model` holds, each memory once."""
    held = {}
    for tensor in (*model.parameters(), *model.buffers()):
        storage = tensor.untyped_storage()
        held[storage.data_ptr() if tensor.device.type != "meta" else id(tensor)] = storage.nbytes()
    return sum(held.values())


def _stored(model: nn.Module) -> list[_Stored]:
    from bench.layers.sharing import slots, tied_tensors

    tied = tied_tensors(model)
    return [_described(slot) for name, slot in slots(model).items() if name not in tied]


def _described(slot: Slot) -> _Stored:
    from bench.layers.layer import StoredLayer
    from bench.measures.computation.operators import FLOAT_BITS

    owner, leaf = slot
    tensor = slot.tensor
    own = 8 * tensor.element_size()
    is_parameter = leaf in owner._parameters or leaf in ("weight", "bias")
    if not isinstance(owner, StoredLayer) or leaf != "weight" or owner.weight_bits >= FLOAT_BITS:
        return _Stored(tensor.numel(), _nonzero(tensor), own, is_parameter)
    elements = owner.in_features * owner.out_features
    # Several weights packed into one byte cannot be told zero without the layer's own code: all count.
    nonzero = _nonzero(tensor) if tensor.numel() == elements else elements
    return _Stored(elements, nonzero, owner.weight_bits, is_parameter)


def _nonzero(tensor: Tensor) -> int:
    """Elements whose bits are not all zero: the codec keeps -0.0, which compares equal to 0."""
    import torch

    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    if tensor.is_meta or tensor.is_complex() or tensor.element_size() not in integers:
        return tensor.numel()
    flat = tensor.detach().contiguous().reshape(-1).view(integers[tensor.element_size()])
    return int(flat.count_nonzero())


def _smallest(tensor: _Stored) -> int:
    from bench.artifacts.codec import ENTRY_BYTES

    sparse = tensor.nonzero_bytes + min(math.ceil(tensor.elements / 8), _INDEX_BYTES * tensor.nonzero)
    return sparse if sparse + ENTRY_BYTES < tensor.dense_bytes else tensor.dense_bytes
