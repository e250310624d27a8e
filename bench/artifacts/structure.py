"""A model's structure as data: which modules are not stock, which are shared, which tensors are tied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from bench.artifacts.short_forms import shortened, spelled_out
from bench.base.errors import ArtifactError, ModelError
from bench.base.schema import Frozen
from bench.layers.layer import StoredModule, StoredStack, describe, rebuild
from bench.layers.sharing import module_names, slots, tied_tensors
from bench.models.heads import from_config, head_of
from bench.models.modules import add_module, replace_module


class Replacement(Frozen):
    """A module that is not stock: its kind (of `LAYER_KINDS`, `linear` or a short form) and what rebuilds it."""

    kind: str
    arguments: dict[str, Any]

    def empty(self, *, where: str) -> nn.Module:
        """The module on the meta device; raises `ArtifactError` for an unknown kind or wrong arguments."""
        try:
            kind, arguments = spelled_out(self.kind, self.arguments)
        except TypeError as error:
            raise ArtifactError(f"{where}: {error}") from error
        with torch.device("meta"):
            return rebuild(kind, arguments, where=where)


class Structure(Frozen):
    """What, next to `config.json`, rebuilds a model without its tensors.

    `replaced` is by qualified name, `shared` maps a further place of a module to its first, `tied` a further name of
    a tensor to its first, `attention` is the implementation that the outputs depend on to the last bit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    head: str
    architecture: str
    attention: str
    replaced: dict[str, Replacement]
    shared: dict[str, str]
    tied: dict[str, str]


def structure_of(model: nn.Module) -> Structure:
    """The structure of `model`; raises `ArtifactError` if a module cannot be written down as data."""
    config: Any = model.config
    attention = str(config._attn_implementation)
    head = head_of(model)
    skeleton = _skeleton(config, head, attention)
    stock = dict(skeleton.named_modules(remove_duplicate=False))
    found = module_names(model)
    replaced: dict[str, Replacement] = {}
    closed: list[str] = []  # what is rebuilt with all that is inside
    for name, module in found.modules.items():
        if _inside(name, closed) or _same_form(stock.get(name), module):
            continue
        described = describe(module)
        if described is None:
            raise ArtifactError(
                f"{type(model).__name__}: module '{name}' ({type(module).__name__}) is neither a standard module nor "
                f"a registered layer kind, so it cannot be saved as data. Register its class in bench.layers."
            )
        kind, arguments = shortened(*described)
        replaced[name] = Replacement(kind=kind, arguments=arguments)
        closed += [] if isinstance(module, StoredModule) and module.open else [name]
    structure = Structure(
        head=head,
        architecture=type(model).__name__,
        attention=attention,
        replaced=replaced,
        shared=found.shared,
        tied=tied_tensors(model),
    )
    _check(model, _apply(skeleton, structure, where=type(model).__name__))
    return structure


def is_stock(model: nn.Module, structure: Structure) -> bool:
    """Whether the configuration of `model` and its dense tensors by name rebuild it without `structure`.

    So they do if every module is stock, none is shared, and those tensors are tied that the architecture ties itself.
    """
    if structure.replaced or structure.shared:
        return False
    names = slots(model).keys()
    ties: Any = _skeleton(model.config, structure.head, structure.attention).all_tied_weights_keys
    return _together((name, first) for name, first in ties.items() if {name, first} <= names) == _together(
        structure.tied.items()
    )


def _together(pairs: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """Which names are one tensor's, of pairs of names that are."""
    found: set[frozenset[str]] = set()
    for pair in pairs:
        touching = {names for names in found if names & {*pair}}
        found = (found - touching) | {frozenset({*pair}).union(*touching)}
    return found


def empty(config: Any, structure: Structure, *, where: str) -> nn.Module:
    """The model of `config` and `structure` in evaluation mode, its parameters on the meta device, untied.

    Raises `ArtifactError` if the two do not fit each other.
    """
    return _apply(_skeleton(config, structure.head, structure.attention), structure, where=where).eval()


def fill(
    model: nn.Module, structure: Structure, read: Callable[[str], Tensor], names: Collection[str], *, where: str
) -> None:
    """Put stored tensors into an `empty` model, in place, in the dtype in which they were stored.

    Args:
        model: what `empty` gave.
        structure: the same structure.
        read: the dense tensor of a name.
        names: every stored name.
        where: the weights file, for messages.

    Raises:
        ArtifactError: a tensor is missing, unexpected, or of another shape or type than the model expects.
    """
    places = slots(model)
    expected = [name for name in places if name not in structure.tied]
    for label, odd in (("missing", set(expected) - set(names)), ("not expected", set(names) - set(expected))):
        if odd:
            raise ArtifactError(f"{where}: tensor '{min(odd)}' is {label} ({len(odd)} such)")
    for name in expected:
        _assign(places[name].owner, places[name].leaf, read(name), where=f"{where}: tensor '{name}'")
    for alias, name in structure.tied.items():
        if alias not in places or name not in expected:
            raise ArtifactError(f"{where}: '{alias}' is tied to '{name}', but the model lacks one of them")
        owner, leaf = places[alias]
        setattr(owner, leaf, places[name].tensor)


def _skeleton(config: Any, head: str, attention: str) -> nn.Module:
    """The stock model on the meta device, with the buffers that are never stored filled on the CPU."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = from_config(config, head, attention=attention)
    for name, module in model.named_modules():
        passing = {leaf: module._buffers[leaf] for leaf in sorted(module._non_persistent_buffers_set)}
        for leaf, meta in passing.items():
            if meta is not None:
                module._buffers[leaf] = torch.full(meta.shape, _unset(meta.dtype), dtype=meta.dtype, device="cpu")
        if passing:
            # transformers fills such buffers itself in from_pretrained, through this same call.
            model._init_weights(module)  # type: ignore[operator]
        for leaf in passing:
            buffer = module._buffers[leaf]
            if buffer is not None and bool((buffer == _unset(buffer.dtype)).any()):
                raise ArtifactError(f"{type(model).__name__}: buffer '{name}.{leaf}' is not filled by its architecture")
    return model


def _apply(model: nn.Module, structure: Structure, *, where: str) -> nn.Module:
    """The stock `model` with the modules of `structure` in place, changed in place."""
    if type(model).__name__ != structure.architecture:
        raise ArtifactError(
            f"{where}: found architecture {structure.architecture}, but config.json makes {type(model).__name__}"
        )
    try:
        for name, replacement in structure.replaced.items():
            module = replacement.empty(where=f"{where}: {name}")
            if isinstance(module, StoredStack):
                module.adopt(model.get_submodule(name).children())
            place = add_module if isinstance(module, StoredModule) and module.beside else replace_module
            place(model, name, module)
        for alias, name in structure.shared.items():
            replace_module(model, alias, model.get_submodule(name))
    except (AttributeError, ModelError) as error:
        raise ArtifactError(f"{where}: names a module that the architecture does not have: {error}") from error
    return model


def _unset(dtype: torch.dtype) -> int | float:
    """A value that no buffer of positions, token types or frequencies holds."""
    return torch.finfo(dtype).min if dtype.is_floating_point else torch.iinfo(dtype).min


def _same_form(stock: nn.Module | None, module: nn.Module) -> bool:
    """Whether `module` is what `config` makes: the same class and, if it holds tensors, the same settings."""
    if stock is None or type(stock) is not type(module):
        return False
    holds = any(value is not None for value in (*module._parameters.values(), *module._buffers.values()))
    return not holds or stock.extra_repr() == module.extra_repr()


def _inside(name: str, replaced: Collection[str]) -> bool:
    return any(name.startswith(f"{outer}.") for outer in replaced)


def _check(model: nn.Module, rebuilt: nn.Module) -> None:
    """Raise `ArtifactError` unless `rebuilt` has a slot of the same shape for each tensor of `model`."""
    wanted = {key: tuple(slot.tensor.shape) for key, slot in slots(model).items()}
    given = {key: tuple(slot.tensor.shape) for key, slot in slots(rebuilt).items()}
    for key in sorted(wanted.keys() | given.keys()):
        if wanted.get(key) != given.get(key):
            raise ArtifactError(
                f"{type(model).__name__}: tensor '{key}' is {wanted.get(key, 'absent')}, its configuration makes "
                f"{given.get(key, 'none')}. Save the model as its configuration says, or register a layer kind."
            )


def _assign(owner: nn.Module, leaf: str, tensor: Tensor, *, where: str) -> None:
    before = getattr(owner, leaf)
    fits = before.dtype == tensor.dtype or (before.dtype.is_floating_point and tensor.dtype.is_floating_point)
    if before.shape != tensor.shape or not fits:
        raise ArtifactError(
            f"{where} is {tensor.dtype} {list(tensor.shape)}, the model expects {before.dtype} {list(before.shape)}"
        )
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=before.requires_grad)
    else:
        owner._buffers[leaf] = tensor
