"""The matrices of a model whose rows and columns go together: an attention with its heads, an MLP with its neurons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from torch import Tensor, nn

from bench.layers.cutting import factors
from bench.layers.head_subset import HeadSubset
from bench.layers.layer import Factors, StoredModule
from bench.models.roles import CROSS_ROLES, POSITION_ROLES, ROLES, Role

if TYPE_CHECKING:
    from bench.models.adapter import Adapter
    from bench.models.roles import LayerBlock

GroupPart = Literal["attention", "cross_attention", "ffn"]
PARTS: dict[GroupPart, tuple[Role, ...]] = {"attention": ROLES[:4], "cross_attention": CROSS_ROLES, "ffn": ROLES[4:]}
# What an attention may have besides, with the same rows for each head.
_FURTHER: dict[GroupPart, tuple[Role, ...]] = {"attention": POSITION_ROLES}


class Holder(NamedTuple):
    """One attention module that runs a group: `output` is the name of its output map, None if that is outside."""

    module: nn.Module
    output: str | None
    cross: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """The matrices of an attention or of an MLP, as stored: units are heads or neurons.

    A unit is `width` rows of each of `givers` (query, key, value; or the first matrix of the MLP) and `width` columns
    of `taker`. A giver that is several matrices in one, such as queries, keys and values, has that number in `folds`,
    and a unit is `width` rows of each of its equal parts. `stack` and `layer` are those of the first block that holds
    the group, `name` its qualified name with the part. `holders` are all attention modules that run it, `activation` is
    the MLP's; if that is `gated`, what goes on is activation(first part) * second part. `whole` is False if some of the
    matrices belong to another group, or one of their tensors to another module.
    """

    stack: str
    layer: int
    part: GroupPart
    name: str
    width: int
    givers: tuple[nn.Module, ...]
    taker: nn.Module
    activation: Callable[[Tensor], Tensor] | None
    folds: tuple[int, ...]
    gated: bool = False
    holders: list[Holder] = field(default_factory=list)
    whole: bool = True

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Each matrix once."""
        return tuple(dict.fromkeys((*self.givers, self.taker)))

    def given(self) -> list[Factors]:
        """The tensors of the givers; raises `MethodError` if one is neither dense nor factorized."""
        return [factors(module, where=f"a matrix of {self.name}") for module in self.givers]

    def unfolded(self) -> list[Factors]:
        """The tensors of the givers, those of every part of one by themselves; raises as `given` does."""
        found = []
        for giver, folds in zip(self.given(), self.folds, strict=True):
            rows = len(giver.left) // folds
            for start in range(0, folds * rows, rows):
                bias = None if giver.bias is None else giver.bias[start : start + rows]
                found.append(giver._replace(left=giver.left[start : start + rows], bias=bias))
        return found

    def taken(self) -> Factors:
        """The tensors of the taker; raises `MethodError` if it is neither dense nor factorized."""
        return factors(self.taker, where=f"a matrix of {self.name}")


def groups(model: nn.Module, adapter: Adapter) -> list[Group]:
    """Every group of `model`, each stored one once, in stored order; what has been emptied is not there.

    An attention in a stored form of its own (`block-term-attention`) has no heads and is left out.

    Raises:
        MethodError: a matrix of a layer that is neither dense nor factorized in floating point.
    """
    found: dict[tuple[int, ...], Group] = {}
    for block in adapter.blocks(model):
        for part, roles in PARTS.items():
            if not all(role in block.names for role in roles):
                continue
            further = [role for role in _FURTHER.get(part, ()) if role in block.names]
            modules = [block.module.get_submodule(block.names[role]) for role in (*further, *roles)]
            holder = _holder(block, roles, cross=part == "cross_attention")
            if part != "ffn" and isinstance(holder.module, StoredModule) and not isinstance(holder.module, HeadSubset):
                continue
            key = tuple(id(module) for module in modules)
            if key not in found:
                group = _group(model, adapter, block, part, modules)
                if not _fits(group):
                    continue
                found[key] = group
            if part != "ffn" and all(holder.module is not each.module for each in found[key].holders):
                found[key].holders.append(holder)
    return _marked(model, list(found.values()))


def _group(
    model: nn.Module, adapter: Adapter, block: LayerBlock, part: GroupPart, modules: Sequence[nn.Module]
) -> Group:
    activation = None
    if part == "ffn" and adapter.activation is not None:
        # Not always a module: a configuration may hold a plain function.
        parent, _, leaf = adapter.activation.rpartition(".")
        activation = getattr(block.module.get_submodule(parent), leaf)
    uses = Counter(modules[:-1])
    gated = part == "ffn" and adapter.gated
    return Group(
        stack=block.stack,
        layer=block.layer,
        part=part,
        name=f"{block.name} {part}",
        width=1 if part == "ffn" else adapter.head_width(model, block.stack),
        givers=tuple(uses),
        taker=modules[-1],
        activation=activation,
        folds=tuple(2 if gated else count for count in uses.values()),
        gated=gated,
    )


def _holder(block: LayerBlock, roles: Sequence[Role], *, cross: bool) -> Holder:
    parent = block.names[roles[0]].rpartition(".")[0]
    outer, _, leaf = block.names[roles[-1]].rpartition(".")
    return Holder(block.module.get_submodule(parent), leaf if outer == parent else None, cross)


def _fits(group: Group) -> bool:
    """Whether the matrices meet in whole units; another kind of attention may keep its own under the same names."""
    inner = group.taken()
    width = (inner.left if inner.right is None else inner.right).shape[1]
    return width % group.width == 0 and all(
        len(giver.left) == folds * width for giver, folds in zip(group.given(), group.folds, strict=True)
    )


def _marked(model: nn.Module, found: list[Group]) -> list[Group]:
    """The groups with `whole` set."""
    uses = Counter(id(module) for group in found for module in group.modules)
    owners = Counter(id(tensor) for module in model.modules() for tensor in module._parameters.values())
    return [
        replace(
            group,
            whole=all(
                uses[id(module)] == 1 and all(owners[id(tensor)] == 1 for tensor in module.parameters())
                for module in group.modules
            ),
        )
        for group in found
    ]
