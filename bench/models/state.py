"""Whether the weights in a file are those of the model made of them: only a task's head may be new."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.heads import output_name
from bench.models.stored import BUFFERS, FileTensor, plain_name, tensor_files

if TYPE_CHECKING:
    import torch
    from torch import nn

_SHOWN = 3
# A pooler that the model to be made does not have, by its name below the base model or below one half of a translator.
_POOLER = re.compile(r"(encoder\.)?pooler\.(dense\.)?(weight|bias)")


@dataclass(frozen=True, kw_only=True)
class HeadLayout:
    """Which tensors of a model are its head: those outside the base model, and a pooler, which only a head reads.

    `base` is the prefix of the base model's tensors, "" for a model that has none (then all is body); `output` are the
    tensors of the last layer of a head that classifies, whose first axis is the number of outputs.
    """

    base: str
    body: frozenset[str]
    output: frozenset[str]

    def is_head(self, name: str) -> bool:
        """Whether a tensor of the model belongs to its head."""
        return ".pooler." in f".{name}" or not name.startswith(self.base)


def head_layout(model: nn.Module) -> HeadLayout:
    """The layout of `model`."""
    prefix = str(getattr(model, "base_model_prefix", ""))
    base = f"{prefix}." if prefix and hasattr(model, prefix) else ""
    inner = getattr(model, prefix) if base else model
    last = output_name(model)
    return HeadLayout(
        base=base,
        body=frozenset({*(name for name, _ in inner.named_children()), "pooler"}),
        output=frozenset(name for name in model.state_dict() if last and name.startswith(f"{last}.")),
    )


def head_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules with weights that are the head of `model`, its pooler among them, by qualified name, outermost ones.

    Raises `ModelError` for a model whose head is no module of its own, such as one over the vocabulary.
    """
    layout = head_layout(model)
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        tensors = [f"{name}.{inner}" for inner, _ in module.named_parameters()]
        if name and not inside and tensors and all(map(layout.is_head, tensors)):
            found[name] = module
    if not layout.output or not found:
        raise ModelError(f"{type(model).__name__} has no head for classes or spans that models could share")
    return found


def check_state(
    model: nn.Module,
    report: Mapping[str, Any],
    tensors: Mapping[str, FileTensor],
    *,
    where: str,
    crossing: bool = False,
    discard: bool = False,
) -> bool:
    """Whether the outputs of `model` come from the file: those of a head that classifies, if its last layer is not new.

    Args:
        model: what transformers loaded.
        report: its loading information: missing, mismatched and unexpected tensors.
        tensors: what the file holds.
        where: the model's name, for messages.
        crossing: cross-attention may be new as well, in a decoder that is made of an encoder.
        discard: the head in the file, if any, will not be used, so it need not be whole.

    Raises:
        ModelError: any other tensor is missing, of another shape, or left over; so is part of a head. It names up to
            three with both shapes.
    """
    layout, shapes = head_layout(model), {name: tuple(value.shape) for name, value in model.state_dict().items()}
    missing = {name for name in report["missing_keys"] if not (crossing and ".crossattention." in name)}
    mismatched = {name: (tuple(file), tuple(own)) for name, file, own in report["mismatched_keys"]}
    resized = {
        name
        for name, (file, own) in mismatched.items()
        if (name in layout.output and file[1:] == own[1:]) or (discard and layout.is_head(name))
    }
    fresh = {name for name in missing if layout.is_head(name)}
    wrong = (missing - fresh) | (set() if discard else _torn(model, layout, fresh, resized))
    faults = [f"'{name}' {list(shapes.get(name, ()))} is missing from the file" for name in _body_first(wrong, layout)]
    faults += [
        f"'{name}' is {list(mismatched[name][0])} in the file and {list(mismatched[name][1])} by config.json"
        for name in _body_first(mismatched.keys() - resized, layout)
    ]
    faults += [
        f"'{name}'{_shape(name, tensors, layout)} is in the file, but the model has no such tensor"
        for name in _left_over(model, layout, report["unexpected_keys"])
    ]
    if faults:
        more = f" ({len(faults) - _SHOWN} more such)" if len(faults) > _SHOWN else ""
        raise ModelError(
            f"{where}: the weights do not fit config.json: {'; '.join(faults[:_SHOWN])}{more}. Only the head of the "
            f"task may be new; all other weights must be in the file. {_advice(model.config)}"
        )
    return bool(layout.output) and not layout.output & (fresh | resized)


def body_of(model: nn.Module, directory: Path, *, where: str) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint but those of a head, under the names in the file.

    Args:
        model: what was loaded from it, whose layout tells them apart.
        directory: the checkpoint's.
        where: the model's name, for messages.
    """
    from safetensors import safe_open

    layout, found = head_layout(model), {}
    for path in tensor_files(directory, where=where):
        with safe_open(path, framework="pt") as stream:
            for name in stream.keys():  # noqa: SIM118
                if (layout.base and name.startswith(layout.base)) or name.partition(".")[0] in layout.body:
                    found[name] = stream.get_tensor(name)
    return found


def _torn(model: nn.Module, layout: HeadLayout, fresh: Collection[str], resized: Collection[str]) -> set[str]:
    """Tensors of a head that are missing though others, which make no sense without them, are there."""
    import torch

    values = model.state_dict(keep_vars=True)
    tied = {id(value) for name, value in values.items() if not layout.is_head(name)}
    own = {name for name, value in values.items() if layout.is_head(name) and id(value) not in tied}
    absent, lost = {*fresh, *resized}, own & set(fresh)
    if layout.output and not layout.output & absent:  # what feeds a layer that was trained must have been, too
        return lost
    by_module: dict[str, set[str]] = {}
    for name in own:
        by_module.setdefault(name.rpartition(".")[0], set()).add(name)
    torn = {name for names in by_module.values() if not names <= absent for name in names & lost}
    learned = {name for name in own if isinstance(values[name], torch.nn.Parameter)}
    return torn if layout.output or learned <= absent else torn | (learned & lost)


def _left_over(model: nn.Module, layout: HeadLayout, keys: Iterable[str]) -> list[str]:
    """Tensors of the file that are neither buffers that older versions wrote, nor of the head of another task."""
    found, heads = [], None
    foreign = adapter_for(model).foreign_heads
    for key in sorted(keys):
        inside = key.removeprefix(layout.base)
        if foreign and key.startswith(foreign):
            continue
        if inside.rpartition(".")[2] in BUFFERS or _POOLER.fullmatch(inside):
            continue
        if inside == key and inside.partition(".")[0] not in layout.body:
            heads = _known_heads(model) if heads is None else heads
            if key in heads:
                continue
        found.append(key)
    return found


def _known_heads(model: nn.Module) -> set[str]:
    """The names of the tensors of every model that transformers has of this architecture, with a head for any task."""
    import torch
    from transformers import PreTrainedModel

    kinds: dict[str, Any] = vars(sys.modules[type(model).__module__])
    config: Any = copy.deepcopy(model.config)
    config.num_labels = 2  # every head takes two outputs, some no other number
    found: set[str] = set()
    for name, kind in kinds.items():
        known = isinstance(kind, type) and issubclass(kind, PreTrainedModel)
        if not known or name.endswith("PreTrainedModel"):
            continue
        if kind.config_class is type(config) and kind.base_model_prefix == model.base_model_prefix:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                found |= kind(copy.deepcopy(config)).state_dict().keys()
    return found


def _body_first(names: Iterable[str], layout: HeadLayout) -> list[str]:
    return sorted(names, key=lambda name: (layout.is_head(name), name))


def _shape(name: str, tensors: Mapping[str, FileTensor], layout: HeadLayout) -> str:
    """The stored shape of a tensor whose name transformers may have changed; nothing if it cannot be told."""
    prefixes = [layout.base]
    plain = {plain_name(key, prefixes): tensor for key, tensor in tensors.items()}
    found = tensors.get(name) or plain.get(plain_name(name, prefixes))
    return f" {list(found.shape)}" if found else ""


def _advice(config: Any) -> str:
    if getattr(config, "pruned_heads", None):
        return (
            "config.json has pruned_heads, which this version of transformers ignores. Give the model before its "
            "heads were pruned, and prune it with a recipe."
        )
    return "Correct config.json, or save the model again with its own architecture."
