"""Numbers of stored parameters: each element once, however often it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.measures.base.measure import MEASURES, Measure, Pair, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


def stored_parameters(model: nn.Module) -> list[Tensor]:
    """Every weight and bias that the model stores, each tensor once.

    Tied and shared tensors count once: by identity, and by storage, offset and shape if two names look at the same
    memory. Packed layers keep their integer weights in buffers; buffers called `weight` or `bias` therefore count.
    Scales and zero points are side data of the stored form, not parameters: they show in `size_bytes`.
    """
    return _unique([*model.parameters(), *_buffered(model.modules(), ("weight", "bias"))])


def embedding_parameters(model: nn.Module) -> list[Tensor]:
    """The tables of every embedding (word, position, segment), each once; a tied output layer adds nothing."""
    from torch import nn

    from bench.layers.layer import StoredEmbedding

    tables = [module for module in model.modules() if isinstance(module, StoredEmbedding)]
    stock = (module.weight for module in model.modules() if isinstance(module, nn.Embedding))
    return _unique([*stock, *_buffered(tables, ("weight",))])


def elements(tensors: Iterable[Tensor]) -> int:
    """Elements of all `tensors` together."""
    return sum(tensor.numel() for tensor in tensors)


def nonzero(tensors: Iterable[Tensor]) -> int:
    """Elements of all `tensors` together that are not zero."""
    return sum(int(tensor.count_nonzero()) for tensor in tensors)


def _buffered(modules: Iterable[nn.Module], leaves: tuple[str, ...]) -> list[Tensor]:
    """The buffers of `modules` called by one of `leaves`, each once, as the numbers that they stand for.

    They are read from their module, since an int8 layer in use has its integers elsewhere until they are asked for.
    """
    from bench.layers.layer import StoredModule

    found: dict[int, Tensor] = {}
    for module in modules:
        for leaf in leaves:
            if module._buffers.get(leaf) is None:
                continue
            tensor: Tensor = getattr(module, leaf)
            if id(tensor) not in found:
                found[id(tensor)] = module.numbers(leaf) if isinstance(module, StoredModule) else tensor
    return list(found.values())


def _unique(tensors: Iterable[Tensor]) -> list[Tensor]:
    seen: dict[tuple[object, ...], Tensor] = {}
    for tensor in tensors:
        address = tensor.untyped_storage().data_ptr() if tensor.device.type != "meta" else id(tensor)
        seen.setdefault((address, tensor.storage_offset(), tuple(tensor.shape), tensor.dtype), tensor)
    return list(seen.values())


class StoredParameters(NamedTuple):
    """Stored parameters of a model: all, those that are not zero, and those of embedding tables."""

    params: int
    params_nonzero: int
    params_embedding: int


def counted(model: nn.Module) -> StoredParameters:
    """The parameters of a model of torch, or of a graph: its stored tensors of weights and biases."""
    from bench.runtimes.graph_model import GraphModel

    if isinstance(model, GraphModel):
        stored = model.operators().stored
        return StoredParameters(
            sum(each.counted.elements for each in stored),
            sum(each.counted.nonzero for each in stored),
            sum(each.counted.elements for each in stored if each.looked_up),
        )
    stored_tensors = stored_parameters(model)
    return StoredParameters(elements(stored_tensors), nonzero(stored_tensors), elements(embedding_parameters(model)))


class Parameters(Measure):
    """Counts stored elements of the artifact and of the reference."""

    name = "parameters"
    columns = ("params", "params_nonzero", "params_embedding")
    says = "stored parameters: all, the nonzero ones, and those of embedding tables"
    budget_s = 1.0

    def read(self, pair: Pair) -> Reading:
        """Count both models; nothing can be absent."""
        reading = Reading(conditions={"counted": "weights and biases, each counted once; without quantization scales"})
        mine, theirs = counted(pair.artifact.model), counted(pair.reference.model)
        for name, value in mine._asdict().items():
            reading.give(name, value, reference=getattr(theirs, name))
        return reading


MEASURES.register("parameters")(Parameters())
