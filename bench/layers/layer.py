"""The stored forms of layers: what every replacement of a stock module offers, and how one is rebuilt from data."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.base.errors import ArtifactError, UnknownNameError
from bench.base.registry import Registry

LINEAR = "linear"


class StoredModule(nn.Module):
    """A replacement of a stock module that is saved in the form in which it runs.

    `kind` names it in an artifact; `arguments()` with `from_arguments` rebuild it empty, ready for its tensors. One
    that is `beside` takes no stock module's place: it is one more child of its parent, which runs it.
    """

    kind: ClassVar[str]
    beside: ClassVar[bool] = False

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """JSON values from which `from_arguments` rebuilds the module without its tensors."""

    @classmethod
    def from_arguments(cls, **arguments: Any) -> StoredModule:
        """An empty module of the form that `arguments()` described."""
        return cls(**arguments)


class StoredLayer(StoredModule):
    """A stored replacement of `nn.Linear`.

    `weight_bits` and `activation_bits` are the widths of the operands that its kernel multiplies. `counts_itself` where
    its `macs` is the count though the operands are 32-bit floats, because no tracer can see the kernel; of narrower
    operands it always is.
    """

    weight_bits: ClassVar[int]
    activation_bits: ClassVar[int]
    counts_itself: ClassVar[bool] = False
    in_features: int
    out_features: int

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""

    @abstractmethod
    def macs(self, rows: int) -> int:
        """Multiply-adds executed for `rows` input rows, the bias not counted."""

    def multiplied(self) -> tuple[Tensor, ...]:
        """The weights that take part in these multiply-adds, each equally often; a zero makes one without effect."""
        return tuple(tensor for tensor in self.state_dict().values() if tensor.dim() >= 2)


LAYER_KINDS: Registry[type[StoredModule]] = Registry(
    "layer kind",
    modules=(
        "bench.layers.factorized",
        "bench.layers.int8",
        "bench.layers.int8_factorized",
        "bench.layers.int8_static",
        "bench.layers.low_bit",
        "bench.layers.low_bit_factorized",
        "bench.layers.low_bit_factorized_embedding",
        "bench.layers.low_bit_summed",
        "bench.layers.summed",
        "bench.layers.csr",
        "bench.layers.semi_structured",
        "bench.layers.factorized_embedding",
        "bench.layers.safe_embedding",
        "bench.layers.block_term_attention",
        "bench.layers.empty",
        "bench.layers.halting",
        "bench.layers.integer.layer",
        "bench.layers.integer.stack",
        "bench.layers.rounded_attention",
        "bench.layers.rounded_norm",
    ),
    group="bench.layers",
)


def describe(module: nn.Module) -> tuple[str, dict[str, Any]] | None:
    """Kind and arguments of a stored module or a plain `nn.Linear`; None for a module that is neither."""
    if isinstance(module, StoredModule):
        return module.kind, module.arguments()
    if type(module) is nn.Linear:
        bias = module.bias is not None
        return LINEAR, {"in_features": module.in_features, "out_features": module.out_features, "bias": bias}
    return None


def rebuild(kind: str, arguments: dict[str, Any], *, where: str) -> nn.Module:
    """The empty module that `describe` described; raises `ArtifactError` for an unknown kind or wrong arguments."""
    try:
        return nn.Linear(**arguments) if kind == LINEAR else LAYER_KINDS.get(kind).from_arguments(**arguments)
    except UnknownNameError as error:
        raise ArtifactError(f"{where}: {error} A newer bench or the plug-in that made it may be needed.") from error
    except TypeError as error:
        raise ArtifactError(f"{where}: arguments {arguments} do not fit layer kind '{kind}': {error}") from error
