"""Linear maps without some of their rows or columns, and which of them are zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.layers.empty import EmptyLinear
from bench.layers.factorized import FactorizedLinear
from bench.layers.layer import Factors, StoredLayer


def factors(module: nn.Module, *, where: str) -> Factors:
    """The tensors of a dense layer, or of a stored one that has `factors`; raises `MethodError` for any other."""
    if type(module) is nn.Linear:
        return Factors(module.weight, None, module.bias)
    found = module.factors() if isinstance(module, StoredLayer) else None
    if found is not None:
        return found
    raise MethodError(
        f"shrink: {where} is a {type(module).__name__}, whose rows and columns cannot be removed. Shrink before "
        f"layers are quantized or stored in another form."
    )


def zero_rows(map_: Factors) -> Tensor:
    """Which outputs are the bias whatever the input is, bool [out]; of a factorized layer by its second factor."""
    return (map_.left == 0).all(dim=1)


def zero_columns(map_: Factors) -> Tensor:
    """Which inputs change nothing, bool [in]; of a factorized layer by its first factor."""
    return ((map_.left if map_.right is None else map_.right) == 0).all(dim=0)


def with_rows(map_: Factors, kept: Tensor) -> nn.Module:
    """The layer that gives only the outputs with the numbers `kept`, int64; empty is an `EmptyLinear`."""
    if not len(kept):
        return EmptyLinear(_inputs(map_), 0)
    bias = None if map_.bias is None else map_.bias[kept]
    return _layer(map_._replace(left=map_.left[kept], bias=bias))


def with_columns(map_: Factors, kept: Tensor, added: Tensor | None = None) -> nn.Module:
    """The layer that takes only the inputs with the numbers `kept`, int64; `added` [out] is summed to its bias."""
    bias = map_.bias
    if added is not None:
        bias = added if bias is None else bias + added
    if not len(kept):
        return _empty(map_, bias)
    if map_.right is None:
        return _layer(Factors(map_.left[:, kept], None, bias))
    return _layer(Factors(map_.left, map_.right[:, kept], bias))


def through_columns(map_: Factors, columns: Tensor, inputs: Tensor) -> Tensor:
    """What `inputs` [columns] at the places `columns` add to the output, [out], summed in float64."""
    if map_.right is None:
        summed = map_.left[:, columns].double() @ inputs.double()
    else:
        summed = map_.left.double() @ (map_.right[:, columns].double() @ inputs.double())
    return summed.to(map_.left.dtype)


def _inputs(map_: Factors) -> int:
    return (map_.left if map_.right is None else map_.right).shape[1]


def _empty(map_: Factors, bias: Tensor | None) -> EmptyLinear:
    made = EmptyLinear(0, len(map_.left), bias is not None)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made


def _layer(map_: Factors) -> nn.Module:
    """The stored form of `map_`, all copied; parts of the rank that are zero in one factor go as well."""
    if map_.right is not None:
        used = ((map_.left != 0).any(dim=0) & (map_.right != 0).any(dim=1)).nonzero().flatten()
        used = used if len(used) else used.new_zeros(1)  # a rank of 0 cannot be stored
        return FactorizedLinear.from_factors(map_.right[used], map_.left[:, used], map_.bias)
    out, width = map_.left.shape
    # On the meta device nothing is drawn, so the process's generator stays as it is.
    made = nn.Linear(width, out, map_.bias is not None, device="meta")
    made.weight = nn.Parameter(map_.left.detach().clone(memory_format=torch.contiguous_format))
    if map_.bias is not None:
        made.bias = nn.Parameter(map_.bias.detach().clone())
    return made
