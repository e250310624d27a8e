"""What an architecture adapter knows: where a model keeps its layers, linear modules and embeddings."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, cast

from torch import nn

from bench.base.errors import MethodError, ModelError, UnknownNameError
from bench.base.registry import Registry
from bench.layers.empty import EmptyLinear
from bench.layers.layer import StoredStack, positions
from bench.models.roles import ALL_ROLES, PARTS, ROLES, AttentionPlaces, HeadNames, LayerBlock, Part, Role, Size

__all__ = ["ADAPTERS", "PARTS", "ROLES", "Adapter", "Part", "Role", "adapter_for", "adapter_of_type"]


class Adapter(ABC):
    """The names of one architecture; they appear in its adapter and nowhere else.

    Subclasses are data: `model_types` (values of `config.model_type`), `paths` (each layer list below the base model,
    by stack: "encoder", "decoder"), `depths` (the setting of `config` that holds each stack's depth), `sizes` (the
    settings that hold its sizes, none if a model of other sizes cannot be made by these alone), `roles` (each
    linear module, below one layer) and `part_names` (the leaf modules of each part, below one layer; what a layer of
    one stack lacks is passed over). `activation` is what an MLP applies between its matrices, below one block.
    `attention_tail` names the dropout and the norm of an attention module that itself ends with norm(input +
    dropout(output)). `classifier` names the maps of the head that reads the first token's last state. `fused` are
    groups of roles whose matrices are stored as one, as equal parts of its rows in the order given; each role of a
    group has the name of that matrix. If the MLP is `gated`, the rows of "ffn_in" are two equal parts, and what goes on
    is activation(first) * second. `shared_inputs` are what layers are given by name for all rows of a batch together.
    `attention_places` is set if a layer is attention, a norm, and then a map of each token by itself. An adapter holds
    no state.
    """

    model_types: ClassVar[tuple[str, ...]]
    paths: ClassVar[dict[str, str]]
    depths: ClassVar[dict[str, str]] = {"encoder": "num_hidden_layers"}
    sizes: ClassVar[dict[Size, str]] = {}
    roles: ClassVar[dict[Role, str]]
    part_names: ClassVar[dict[Part, tuple[str, ...]]]
    activation: ClassVar[str | None] = None
    classifier: ClassVar[HeadNames | None] = None
    attention_tail: ClassVar[tuple[str, str] | None] = None
    attention_places: ClassVar[AttentionPlaces | None] = None
    iterates: ClassVar[bool] = True  # whether the architecture runs its list with a plain loop of one state
    post_norm: ClassVar[bool] = True  # whether each part of a layer ends with norm(input + output)
    positions_in_attention: ClassVar[bool] = False  # whether scores hold more than the product of query and key
    fused: ClassVar[tuple[tuple[Role, ...], ...]] = ()
    gated: ClassVar[bool] = False
    shared_inputs: ClassVar[tuple[str, ...]] = ()
    foreign_heads: ClassVar[tuple[str, ...]] = ()  # prefixes of heads in published files that transformers has not

    def takes_stack(self, config: Any) -> bool:
        """Whether one module can take the place of the loop of a model of `config`: all layers are given the same."""
        return self.iterates

    def skipped_id(self, config: Any) -> int | None:
        """The token that is skipped in counting positions, which begin behind its id; None if every token counts."""
        return None

    def runs_of(self, model: nn.Module, role: Role) -> int:
        """How often a layer runs the matrix of a role each time that it runs itself, the first time on its tokens."""
        return 1

    def narrowed(self, attention: nn.Module, heads: Sequence[int]) -> nn.Module:
        """The attention module that runs only the heads with these numbers, whose matrices have no others by now.

        By default `attention` itself: it reads the number of its heads from its matrices.
        """
        return attention

    def stacks(self, model: nn.Module) -> tuple[str, ...]:
        """The names of the layer stacks in the order in which they run: of "encoder" and "decoder", those it has."""
        return tuple(self.paths)

    def stack_name(self, model: nn.Module, stack: str | None = None) -> str:
        """The qualified name of the list that holds the layers of a stack, such as `bert.encoder.layer`."""
        prefix = str(getattr(model, "base_model_prefix", ""))
        path = self._path(model, self._stack(model, stack))
        return f"{prefix}.{path}" if prefix and hasattr(model, prefix) else path

    def half_name(self, model: nn.Module, stack: str | None = None) -> str:
        """The qualified name of the module that runs a stack, with what else belongs to it (its embeddings, norms)."""
        return self.stack_name(model, stack).rpartition(".")[0]

    def layers(self, model: nn.Module, stack: str | None = None) -> list[nn.Module]:
        """The layers in the order in which they run; a shared layer appears once for each run.

        Args:
            model: the model.
            stack: one of `stacks`; None is the first.
        """
        return list(self._stored(model, self._stack(model, stack)))

    def set_layers(self, model: nn.Module, layers: Sequence[nn.Module], stack: str | None = None) -> None:
        """Let a stack run exactly `layers`, in place; the same module may appear several times, which shares it.

        The depth in `model.config` follows. Raises `MethodError` if `layers` is empty.
        """
        name = self._stack(model, stack)
        if not layers:
            raise MethodError(f"{type(model).__name__}: the {name} needs at least one layer, found none")
        if isinstance(model.get_submodule(self.stack_name(model, name)), StoredStack):
            raise MethodError(
                f"{type(model).__name__}: the layers of a stack in another stored form, such as a halting {name} or "
                f"one with exits, cannot be replaced. Share, replace or remove layers first, then let it halt or exit."
            )
        self._place(model, layers, name)
        self._set_depth(model, len(layers), name)

    def depth(self, model: nn.Module, stack: str | None = None) -> int:
        """How many layers run in a stack; None is all stacks together."""
        names = self.stacks(model) if stack is None else (stack,)
        return sum(len(self.layers(model, name)) for name in names)

    def roles_of(self, model: nn.Module) -> tuple[Role, ...]:
        """The roles that this model has, in the order of `ALL_ROLES`; "softmax" if it has an output projection."""
        present = {*self._role_names(model), *(["softmax"] if self.output_projection(model) is not None else [])}
        return tuple(role for role in ALL_ROLES if role in present)

    def linears(self, model: nn.Module, roles: Collection[Role] | None = None) -> dict[str, nn.Module]:
        """Linear-like modules by qualified name, in stored order, each stored module once; empty ones are left out.

        Args:
            model: the model; its linear modules may be stock ones or stored forms of `bench.layers`.
            roles: which to give; None is all that are inside its layers, so all but "softmax".

        Raises:
            ModelError: a role that the architecture does not have.
            MethodError: some of the roles that are stored as one matrix, but not all of them.
        """
        has = self.roles_of(model)
        lacking = [role for role in roles or () if role not in has]
        if lacking:
            raise ModelError(
                f"{type(model).__name__} has no matrix with the role '{lacking[0]}'. It has: {', '.join(has)}."
            )
        wanted = [role for role in has if (role != "softmax" if roles is None else role in roles)]
        self._refuse_parts(model, wanted)
        found: dict[str, nn.Module] = {}
        for block in self.blocks(model):
            for role in wanted:
                if role in block.names:
                    found[f"{block.name}.{block.names[role]}"] = block.module.get_submodule(block.names[role])
        if "softmax" in wanted:
            projection = self.output_projection(model)
            found |= {name: module for name, module in model.named_modules() if module is projection}
        return _each_once(found)

    def linears_by_role(self, model: nn.Module, roles: Sequence[Role]) -> list[tuple[Role, str, nn.Module]]:
        """What `linears` gives, one role after the other, each with its role; a fused matrix has its first one.

        Raises as `linears` does.
        """
        self.linears(model, roles)
        found = []
        for role in roles:
            group = self.fused_with(role)
            if role == next(each for each in roles if each in group):
                found += [(role, name, module) for name, module in self.linears(model, group).items()]
        return found

    def fused_with(self, role: Role) -> tuple[Role, ...]:
        """The roles that are stored in one matrix with `role`, in order; itself alone if none is."""
        return next((group for group in self.fused if role in group), (role,))

    def _refuse_parts(self, model: nn.Module, roles: Collection[Role]) -> None:
        for group in self.fused:
            lacking = [role for role in group if role not in roles]
            if lacking and len(lacking) < len(group):
                raise MethodError(
                    f"{type(model).__name__} keeps {', '.join(group)} in one matrix. Give all of these roles, or none."
                )

    def blocks(self, model: nn.Module) -> list[LayerBlock]:
        """The blocks of every stored layer in stored order; matrices that are absent or empty have no name there."""
        places = self._role_names(model)
        found = []
        for stack in self.stacks(model):
            path = self.stack_name(model, stack)
            for index, layer in enumerate(self._stored(model, stack)):
                for prefix, inner in self._inner(layer):
                    names = {role: name for role, name in places.items() if _has_weights(inner, name)}
                    found.append(LayerBlock(stack, index, f"{path}.{index}.{prefix}".rstrip("."), inner, names))
        return found

    def parts(self, layer: nn.Module) -> dict[Part, list[str]]:
        """The modules with weights of one layer by part, by their names below the layer; parts it lacks are left out.

        Names are of leaf modules (a linear, a norm), never of the attention around them, which knows its place in the
        stack. Together the parts hold every tensor of the layer.
        """
        found: dict[Part, list[str]] = {}
        for part, names in self.part_names.items():
            inside = [
                f"{prefix}{name}"
                for prefix, inner in self._inner(layer)
                for name in names
                if _has(inner, name) and not isinstance(inner.get_submodule(name), nn.Identity)
            ]
            if inside:
                found[part] = inside
        return found

    def word_embedding(self, model: nn.Module) -> nn.Embedding:
        """The embedding table of the vocabulary, [vocabulary, width]; of a seq2seq model the encoder's."""
        return cast(nn.Embedding, model.get_input_embeddings())  # type: ignore[operator]

    def reads_embeddings(self, model: nn.Module) -> bool:
        """Whether the model can be called with word embeddings, `inputs_embeds`, in place of tokens."""
        return "inputs_embeds" in inspect.signature(type(model).forward).parameters

    def embeddings(self, model: nn.Module) -> dict[str, nn.Embedding]:
        """Every embedding table by qualified name, each stored module once; tables tied by tensor are all given."""
        return {name: module for name, module in model.named_modules() if isinstance(module, nn.Embedding)}

    def output_projection(self, model: nn.Module) -> nn.Module | None:
        """The softmax layer, from hidden states to the vocabulary, tied to an embedding or not; None without one."""
        found = getattr(model, "get_output_embeddings", None)
        return cast("nn.Module | None", found() if callable(found) else None)

    def head_names(self, model: nn.Module) -> HeadNames | None:
        """The maps from the first token's last state to the outputs, by qualified name; None without such a head."""
        if self.classifier is None:
            return None
        prefix = str(getattr(model, "base_model_prefix", ""))
        names = self.classifier._replace(dense=self.classifier.dense.replace("BASE", prefix))
        return names if _has(model, names.dense) and _has(model, names.out) else None

    def hidden_size(self, model: nn.Module) -> int:
        """The width of the hidden states."""
        return int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def heads(self, model: nn.Module) -> int:
        """Attention heads of one layer, as configured."""
        return int(model.config.num_attention_heads)  # type: ignore[union-attr, arg-type]

    def head_width(self, model: nn.Module, stack: str | None = None) -> int:
        """The width of one attention head of a stack; it stays if heads are removed."""
        return self.hidden_size(model) // self.heads(model)

    def _stack(self, model: nn.Module, stack: str | None) -> str:
        names = self.stacks(model)
        if stack is not None and stack not in names:
            raise ModelError(f"{type(model).__name__} has no stack '{stack}'. It has: {', '.join(names)}.")
        return stack or names[0]

    def _path(self, model: nn.Module, stack: str) -> str:
        """The name of a stack's list below the base model."""
        return self.paths[stack]

    def _role_names(self, model: nn.Module) -> dict[Role, str]:
        """Each linear module below one layer."""
        return self.roles

    def _stored(self, model: nn.Module, stack: str) -> nn.ModuleList:
        return positions(cast(nn.ModuleList, model.get_submodule(self.stack_name(model, stack))))

    def _place(self, model: nn.Module, layers: Sequence[nn.Module], stack: str) -> None:
        """Put `layers` into a stack of an architecture that runs its list from first to last."""
        parent, _, leaf = self.stack_name(model, stack).rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.ModuleList(layers))

    def _set_depth(self, model: nn.Module, count: int, stack: str) -> None:
        setattr(model.config, self.depths[stack], count)

    def _inner(self, layer: nn.Module) -> list[tuple[str, nn.Module]]:
        """The blocks inside one stored layer that hold the roles, each with its name and a dot, or ""."""
        return [("", layer)]


ADAPTERS: Registry[type[Adapter]] = Registry(
    "architecture",
    modules=(
        "bench.models.architectures",
        "bench.models.mobilebert",
        "bench.models.relative",
        "bench.models.modernbert",
        "bench.models.encoder_decoder",
        "bench.models.recurrent.adapters",
        "bench.models.answering.adapters",
    ),
    group="bench.adapters",
)


def adapter_for(model: nn.Module) -> Adapter:
    """The adapter of `model`, by `model.config.model_type`; raises `ModelError` that names the supported ones."""
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type is None:
        raise ModelError(f"{type(model).__name__}: no config.model_type, so its architecture is unknown")
    return adapter_of_type(str(model_type), where=type(model).__name__)


def adapter_of_type(model_type: str, *, where: str) -> Adapter:
    """The adapter for one value of `config.model_type`; raises `ModelError` that names the supported ones."""
    try:
        return ADAPTERS.get(model_type)()
    except UnknownNameError as error:
        raise ModelError(
            f"{where}: architecture '{model_type}' is not supported. Supported: {', '.join(ADAPTERS.names())}."
        ) from error


def _has(layer: nn.Module, name: str) -> bool:
    try:
        layer.get_submodule(name)
    except AttributeError:
        return False
    return True


def _has_weights(block: nn.Module, name: str) -> bool:
    return _has(block, name) and not isinstance(block.get_submodule(name), EmptyLinear)


def _each_once(modules: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """The first name of every module."""
    first: dict[int, str] = {}
    for name, module in modules.items():
        first.setdefault(id(module), name)
    return {name: modules[name] for name in first.values()}
