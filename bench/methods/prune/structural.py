"""Units that lie across several matrices: heads, neurons, whole feed-forward parts, and blocks beside neurons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.prune.site import Site, SitePiece
from bench.methods.prune.units import UNITS, BlockUnit, Sided, Unit, Where

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.base.method import Target
    from bench.methods.shrink.groups import Group


class Named(NamedTuple):
    """A linear layer, its qualified name, and how many matrices of a kind it is, one after the other along its rows."""

    name: str
    layer: nn.Linear
    folds: int = 1


@UNITS.register("head")
class HeadUnit(Unit):
    """One attention head: its rows of query, key and value with their biases, its columns of the output projection."""

    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        """Self-attention and cross-attention, every stored attention once."""
        found = []
        for group in _groups(model, attention=True):
            *inputs, output = _named(model, group)
            pieces = [piece for each in inputs for piece in _rows(each, group.width)]
            pieces.append(_columns(output, group.width))
            found.append(Site(name=f"{group.name} heads", kind="head", pieces=tuple(pieces)))
        return _some(found, model, "attention heads")


@UNITS.register("neuron")
class NeuronUnit(Unit):
    """One hidden neuron of a feed-forward part: its row of the first matrix with its bias, its column of the second."""

    @override
    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        found = []
        for group in _groups(model, attention=False):
            inner, outer = _named(model, group)
            pieces = (*_rows(inner, 1), _columns(outer, 1))
            found.append(Site(name=f"{group.name} neurons", kind="neuron", pieces=pieces))
        return _some(found, model, "feed-forward neurons")


@UNITS.register("mlp")
class MlpUnit(Unit):
    """A whole feed-forward part, its output's bias included, so that only the residual stream is left of it."""

    @override
    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        found = []
        for group in _groups(model, attention=False):
            inner, outer = _named(model, group)
            pieces = (*_whole(inner, acts=False), *_whole(outer, acts=True))
            found.append(Site(name=f"{group.name} whole", kind="mlp", pieces=pieces))
        return _some(found, model, "feed-forward parts")


@UNITS.register("head+mlp")
class HeadAndMlpUnit(Unit):
    """Attention heads and whole feed-forward parts, two classes that are pruned side by side."""

    @override
    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        return [*HeadUnit().sites(model, where), *MlpUnit().sites(model, where)]


def _groups(model: nn.Module, *, attention: bool) -> list[Group]:
    """The attentions or feed-forward parts of `model`, each stored one once, none of them tied to another."""
    from bench.methods.shrink.groups import groups
    from bench.models.adapter import adapter_for

    found = [group for group in groups(model, adapter_for(model)) if (group.part != "ffn") == attention]
    for group in found:
        if not group.whole:
            raise MethodError(
                f"prune: some matrices of {group.name} are shared with another place, so its units cannot be removed "
                f"alone. Share whole layers or whole parts."
            )
    return found


def _named(model: nn.Module, group: Group) -> list[Named]:
    """The matrices of a group with their names; raises `MethodError` if one is not a dense layer."""
    from torch import nn

    names = {id(module): name for name, module in reversed(list(model.named_modules(remove_duplicate=False)))}
    found = []
    for module, folds in zip(group.modules, (*group.folds, 1), strict=True):
        if not isinstance(module, nn.Linear):
            raise MethodError(
                f"prune: {names[id(module)]} is a {type(module).__name__}; heads and neurons can only be removed from "
                f"dense layers. Prune them before factorizing or quantizing."
            )
        found.append(Named(names[id(module)], module, folds))
    return found


def _rows(named: Named, width: int) -> list[SitePiece]:
    cells = {"weight": (width, named.layer.in_features), "bias": (width,)}
    return [
        SitePiece(name=f"{named.name}.{leaf}", parameter=parameter, cell=cells[leaf], acts=False, folds=named.folds)
        for leaf, parameter in named.layer.named_parameters()
    ]


def _columns(named: Named, width: int) -> SitePiece:
    inside = dict(named.layer.named_parameters())
    return SitePiece(name=f"{named.name}.weight", parameter=inside["weight"], cell=(named.layer.out_features, width))


def _whole(named: Named, *, acts: bool) -> list[SitePiece]:
    return [
        SitePiece(name=f"{named.name}.{leaf}", parameter=parameter, cell=tuple(parameter.shape), acts=acts)
        for leaf, parameter in named.layer.named_parameters()
    ]


def _some(sites: list[Site], model: nn.Module, what: str) -> list[Site]:
    if not sites:
        raise MethodError(f"prune: {type(model).__name__} has no {what}")
    return sites


@UNITS.register("hybrid")
class HybridUnit(Sided):
    """Rectangles of `size` in every attention matrix, and feed-forward neurons (Lagunas et al. 2021, "hybrid").

    As in huggingface/nn_pruning with the dense method "1d_alt": the row of a neuron in the first matrix, its bias and
    its column in the second have one score together, and a mask acts at all of them. Gates between 0 and 1 would count
    twice there, so the unit is for masks.
    """

    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        """Raises `MethodError` if `targets` are given, or if a model lacks one of the two parts."""
        from bench.models.adapter import adapter_for

        if where.targets:
            raise MethodError(
                "prune: unit 'hybrid' covers attention and feed-forward parts together; leave targets out"
            )
        roles = [role for role in adapter_for(model).roles_of(model) if role not in ("ffn_in", "ffn_out", "softmax")]
        attention = replace(where, targets=tuple(cast("list[Target]", roles)))
        blocks = BlockUnit(size=self.size).sites(model, attention)
        neurons = [
            replace(site, pieces=tuple(replace(piece, acts=True) for piece in site.pieces))
            for site in NeuronUnit().sites(model, where)
        ]
        return [*blocks, *neurons]
