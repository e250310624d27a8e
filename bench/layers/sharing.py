"""What a model stores once but uses in several places, and replacing a module in all of them."""

from __future__ import annotations

from typing import NamedTuple, cast

from torch import Tensor, nn

from bench.base.errors import ModelError


class ModuleNames(NamedTuple):
    """`modules`: every module by its first name; `shared`: each further name to the first, top-most ones only."""

    modules: dict[str, nn.Module]
    shared: dict[str, str]


class TensorSlot(NamedTuple):
    """One place that holds a tensor: the module, and the attribute in it."""

    owner: nn.Module
    leaf: str

    @property
    def tensor(self) -> Tensor:
        """What the slot holds now."""
        return cast(Tensor, getattr(self.owner, self.leaf))


def module_names(model: nn.Module) -> ModuleNames:
    """Every module of `model` under the first name it has; modules without any tensor are never called shared."""
    found = ModuleNames({}, {})
    first: dict[int, str] = {}

    def visit(name: str, module: nn.Module) -> None:
        if id(module) in first and _has_tensors(module):
            found.shared[name] = first[id(module)]
            return
        first.setdefault(id(module), name)
        found.modules[name] = module
        for leaf, child in module._modules.items():
            if child is not None:
                visit(f"{name}.{leaf}" if name else leaf, child)

    visit("", model)
    return found


def slots(model: nn.Module) -> dict[str, TensorSlot]:
    """Every parameter and every buffer that is saved, by the first name of its module.

    A shared module's slots appear once; a tensor tied across modules appears under each.
    """
    found: dict[str, TensorSlot] = {}
    for name, module in module_names(model).modules.items():
        passing = module._non_persistent_buffers_set
        buffers = {leaf: value for leaf, value in module._buffers.items() if leaf not in passing}
        for leaf, value in {**module._parameters, **buffers}.items():
            if value is not None:
                found[f"{name}.{leaf}" if name else leaf] = TensorSlot(module, leaf)
    return found


def tied_tensors(model: nn.Module) -> dict[str, str]:
    """Names of tensors that are the memory of an earlier one, each to the earlier name."""
    first: dict[object, str] = {}
    tied: dict[str, str] = {}
    for name, slot in slots(model).items():
        key = _memory(slot.tensor)
        if key in first:
            tied[name] = first[key]
        else:
            first[key] = name
    return tied


def _memory(tensor: Tensor) -> object:
    """What two tensors have in common only if writing to one writes to the other in the same places."""
    if tensor.is_meta or tensor.numel() == 0:
        return id(tensor)
    return (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride(), str(tensor.device))


def _has_tensors(module: nn.Module) -> bool:
    return any(True for _ in module.parameters()) or any(True for _ in module.buffers())


def replace_everywhere(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` into each place of `model` that holds `old`, in place, so that what was shared stays shared.

    Raises `ModelError` if no place below `model` holds it.
    """
    places = [(parent, leaf) for parent in model.modules() for leaf, child in parent._modules.items() if child is old]
    if not places:
        raise ModelError(f"{type(model).__name__}: does not contain this {type(old).__name__}")
    for parent, leaf in places:
        parent._modules[leaf] = new
