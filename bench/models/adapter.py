"""What an architecture adapter knows: where a model keeps its layers, linear modules and embeddings."""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Sequence
from typing import ClassVar, Literal, cast, get_args

from torch import nn

from bench.errors import MethodError, ModelError, UnknownNameError
from bench.registry import Registry

Role = Literal["query", "key", "value", "attention_output", "ffn_in", "ffn_out"]
ROLES: tuple[Role, ...] = get_args(Role)


class Adapter(ABC):
    """The names of one architecture; they appear in its adapter and nowhere else.

    Subclasses are data: `model_types` (values of `config.model_type`), `stack` (the layer list, below the base model)
    and `roles` (each linear module, below one layer). An adapter holds no state.
    """

    model_types: ClassVar[tuple[str, ...]]
    stack: ClassVar[str]
    roles: ClassVar[dict[Role, str]]

    def stack_name(self, model: nn.Module) -> str:
        """The qualified name of the list that holds the encoder layers, such as `bert.encoder.layer`."""
        prefix = str(getattr(model, "base_model_prefix", ""))
        return f"{prefix}.{self.stack}" if prefix and hasattr(model, prefix) else self.stack

    def layers(self, model: nn.Module) -> list[nn.Module]:
        """The encoder layers in the order in which they run; a shared layer appears once for each run."""
        return list(self._stored(model))

    def set_layers(self, model: nn.Module, layers: Sequence[nn.Module]) -> None:
        """Let `model` run exactly `layers`, in place; the same module may appear several times, which shares it.

        The depth in `model.config` follows. Raises `MethodError` where `layers` is empty.
        """
        if not layers:
            raise MethodError(f"{type(model).__name__}: an encoder needs at least one layer, found none")
        self._place(model, layers)
        model.config.num_hidden_layers = len(layers)  # type: ignore[union-attr]

    def depth(self, model: nn.Module) -> int:
        """How many layers run."""
        return len(self.layers(model))

    def linears(self, model: nn.Module, roles: Collection[Role] | None = None) -> dict[str, nn.Module]:
        """Linear-like modules of the encoder stack by qualified name, in stored order, each stored module once.

        Args:
            model: the model; its linear modules may be stock ones or stored forms of `bench.layers`.
            roles: which of the six to give; None is all.
        """
        wanted = ROLES if roles is None else tuple(role for role in ROLES if role in roles)
        found: dict[str, nn.Module] = {}
        seen: set[int] = set()
        for index, layer in enumerate(self._stored(model)):
            for prefix, inner in self._inner(layer):
                for role in wanted:
                    module = inner.get_submodule(self.roles[role])
                    if id(module) not in seen:
                        seen.add(id(module))
                        found[f"{self.stack_name(model)}.{index}.{prefix}{self.roles[role]}"] = module
        return found

    def word_embedding(self, model: nn.Module) -> nn.Embedding:
        """The embedding table of the vocabulary, [vocabulary, width]."""
        return cast(nn.Embedding, model.get_input_embeddings())  # type: ignore[operator]

    def embeddings(self, model: nn.Module) -> dict[str, nn.Embedding]:
        """Every embedding table by qualified name, each stored module once."""
        return {name: module for name, module in model.named_modules() if isinstance(module, nn.Embedding)}

    def hidden_size(self, model: nn.Module) -> int:
        """The width of the hidden states."""
        return int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def heads(self, model: nn.Module) -> int:
        """Attention heads of one layer, as configured."""
        return int(model.config.num_attention_heads)  # type: ignore[union-attr, arg-type]

    def _stored(self, model: nn.Module) -> nn.ModuleList:
        return cast(nn.ModuleList, model.get_submodule(self.stack_name(model)))

    def _place(self, model: nn.Module, layers: Sequence[nn.Module]) -> None:
        """Put `layers` into the stack of an architecture that runs its list from first to last."""
        parent, _, leaf = self.stack_name(model).rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.ModuleList(layers))

    def _inner(self, layer: nn.Module) -> list[tuple[str, nn.Module]]:
        """The blocks inside one stored layer that hold the roles, each with its name and a dot, or ""."""
        return [("", layer)]


ADAPTERS: Registry[type[Adapter]] = Registry(
    "architecture",
    modules=(
        "bench.models.bert",
        "bench.models.roberta",
        "bench.models.distilbert",
        "bench.models.albert",
        "bench.models.electra",
    ),
    group="bench.adapters",
)


def adapter_for(model: nn.Module) -> Adapter:
    """The adapter of `model`, by `model.config.model_type`; raises `ModelError` that names the supported ones."""
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type is None:
        raise ModelError(f"{type(model).__name__}: no config.model_type, so its architecture cannot be told")
    return adapter_of_type(str(model_type), where=type(model).__name__)


def adapter_of_type(model_type: str, *, where: str) -> Adapter:
    """The adapter for one value of `config.model_type`; raises `ModelError` that names the supported ones."""
    try:
        return ADAPTERS.get(model_type)()
    except UnknownNameError as error:
        raise ModelError(
            f"{where}: architecture '{model_type}' is not supported. Supported: {', '.join(ADAPTERS.names())}."
        ) from error
