"""The stored forms of layers: what each offers, what measures ask of it, and how one is rebuilt from data.

A form of another package registers its class in `LAYER_KINDS` through the entry-point group `bench.layers`. It gives
what is abstract here; every other answer has a default.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import ArtifactError, MethodError, UnknownNameError
from bench.base.registry import Registry

if TYPE_CHECKING:
    from bench.layers.input_rounding import InputRounding

LINEAR, NORM, IDENTITY = "linear", "layer-norm", "identity"
FLOAT_BITS = 32
DEQUANTIZED = "dequantized"  # the kernel of a layer that turns its weights back to float at every call
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class TensorStorage(NamedTuple):
    """What a stored tensor holds: its elements, those that are not zero, and the bits of one."""

    elements: int
    nonzero: int
    bits: int

    @property
    def dense_bytes(self) -> int:
        """Bytes of every element."""
        return math.ceil(self.elements * self.bits / 8)

    @property
    def nonzero_bytes(self) -> int:
        """Bytes of the elements that are not zero, without their places."""
        return math.ceil(self.nonzero * self.bits / 8)


def plain_storage(tensor: Tensor) -> TensorStorage:
    """The storage of a tensor without any coding. An element is zero if all its bits are: -0.0 is stored."""
    nonzero = tensor.numel()
    if not tensor.is_meta and not tensor.is_complex() and tensor.element_size() in _INTEGERS:
        flat = tensor.detach().contiguous().reshape(-1).view(_INTEGERS[tensor.element_size()])
        nonzero = int(flat.count_nonzero())
    return TensorStorage(tensor.numel(), nonzero, 8 * tensor.element_size())


class Factors(NamedTuple):
    """A linear map as `left` [out, rank] @ `right` [rank, in]; a dense one has no `right`, and `left` is [out, in]."""

    left: Tensor
    right: Tensor | None
    bias: Tensor | None


class StoredModule(nn.Module):
    """A replacement of a stock module that is saved in the form in which it runs.

    `kind` names it in an artifact; `arguments()` with `from_arguments` rebuild it empty, ready for its tensors. If it
    is `beside`, it takes no stock module's place: it is one more child of its parent, which runs it. If it is `open`,
    each module inside is written down by itself, and may be of any form; else it is rebuilt with all that is inside.
    Models are copied by `copy.deepcopy`; a form that keeps something derived from its tensors leaves it out of
    `__getstate__`.
    """

    kind: ClassVar[str]
    beside: ClassVar[bool] = False
    open: ClassVar[bool] = False

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """JSON values from which `from_arguments` rebuilds the module without its tensors."""

    @classmethod
    def from_arguments(cls, **arguments: Any) -> StoredModule:
        """An empty module of the form that `arguments()` described."""
        return cls(**arguments)

    @property
    def kernel(self) -> str | None:
        """What multiplies where the module is now; None if stock operators or its inner modules do."""
        return None

    def portable(self) -> nn.Module:
        """What stands in its place in a graph for another runtime: by default itself, recorded as it runs.

        Raises `MethodError` if nothing can.
        """
        return self

    def numbers(self, leaf: str) -> Tensor:
        """A tensor of the weights that the own tensor `leaf` stands for, zero exactly if they are.

        By default `leaf` itself. A form with several weights in an element gives one element per weight.
        """
        tensor: Tensor = getattr(self, leaf)
        return tensor

    def storage(self, leaf: str) -> TensorStorage:
        """What the own tensor `leaf` holds; by default its elements as they are."""
        return plain_storage(getattr(self, leaf))


class StoredLayer(StoredModule):
    """A stored replacement of `nn.Linear`.

    `weight_bits` and `activation_bits` are the widths of the operands of its kernel; `has_integer_kernel` says that
    such a kernel multiplies integers, on machines that have it.
    """

    weight_bits: ClassVar[int] = FLOAT_BITS
    activation_bits: ClassVar[int] = FLOAT_BITS
    has_integer_kernel: ClassVar[bool] = False
    in_features: int
    out_features: int

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features], in the dtype of `inputs`."""

    @abstractmethod
    def macs(self, rows: int) -> int:
        """Multiply-adds executed for `rows` input rows, the bias not counted."""

    @abstractmethod
    def dense(self) -> Tensor:
        """The whole float weight [out_features, in_features] that the layer represents."""

    def rows(self, places: Tensor) -> Tensor:
        """The rows [n, in_features] of `dense()` at the places [n]; a packed form unpacks no others."""
        return self.dense()[places]

    @property
    def opaque(self) -> bool:
        """Whether no tracer sees its products, so that `macs` is the count; by default if operands are narrow."""
        return self.weight_bits < FLOAT_BITS

    @property
    def runs_as_float(self) -> bool:
        """Whether its weights are turned back to float at every call, so that float operands are multiplied."""
        return self.kernel == DEQUANTIZED

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of the weight and of the activation in one multiply-add that is executed here."""
        return (FLOAT_BITS, FLOAT_BITS) if self.runs_as_float else (self.weight_bits, self.activation_bits)

    def multiplied(self) -> tuple[Tensor, ...]:
        """The weights in the multiply-adds of `macs`, each in equally many; a zero makes them without effect.

        By default one element per weight of `dense()`, which says whether it is not zero.
        """
        return (self.dense() != 0,)

    @override
    def portable(self) -> nn.Module:
        """Itself if its products are plain ones, else a dense float layer with the same weights."""
        if not self.opaque:
            return self
        weight, bias = self.dense(), getattr(self, "bias", None)
        return dense_linear(weight, bias)

    def factors(self) -> Factors | None:
        """The float matrices of which rows and columns can be cut; None, by default, if none can."""
        return None

    def storage(self, leaf: str) -> TensorStorage:
        """As of any module, but a `weight` of narrow operands counts one element of their width per weight.

        Several weights packed into one byte all count as not zero.
        """
        found = super().storage(leaf)
        if leaf != "weight" or self.weight_bits >= FLOAT_BITS:
            return found
        weights = self.in_features * self.out_features
        return TensorStorage(weights, found.nonzero if found.elements == weights else weights, self.weight_bits)


class StoredEmbedding(StoredModule):
    """A stored replacement of `nn.Embedding`; an own tensor called `weight` is its table."""

    weight_bits: ClassVar[int] = FLOAT_BITS
    num_embeddings: int
    embedding_dim: int

    @abstractmethod
    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] to [..., embedding_dim]."""

    @override
    def portable(self) -> nn.Module:
        """Itself if its table is of floats, else a plain embedding of the table that it stands for."""
        if self.weight_bits >= FLOAT_BITS:
            return self
        table = self.dense()
        with torch.device("meta"):
            made = nn.Embedding(*table.shape)
        made.weight = nn.Parameter(table.detach().float(), requires_grad=False)
        return made

    @abstractmethod
    def dense(self) -> Tensor:
        """The whole float table [num_embeddings, embedding_dim] that is looked up."""

    def softmax(self, bias: Tensor | None, inputs: InputRounding | None = None) -> StoredLayer:
        """The tied output layer: it holds this table's own tensors, and a copy of `bias` [num_embeddings].

        `inputs` rounds what it is given. Raises `MethodError` by default: the form has no such layer.
        """
        del bias, inputs
        raise MethodError(f"an embedding stored as '{self.kind}' has no tied output layer")


def dense_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """The stock layer of `weight` [out, in] and `bias` [out] or None, which get no gradient."""
    with torch.device("meta"):
        made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    made.weight = nn.Parameter(weight.detach().float(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().float(), requires_grad=False)
    return made


LAYER_KINDS: Registry[type[StoredModule]] = Registry(
    "layer kind",
    modules=(
        "bench.layers.factorized",
        "bench.layers.composite",
        "bench.layers.int8",
        "bench.layers.int8_static",
        "bench.layers.low_bit",
        "bench.layers.summed",
        "bench.layers.csr",
        "bench.layers.semi_structured",
        "bench.layers.safe_embedding",
        "bench.layers.block_term_attention",
        "bench.layers.empty",
        "bench.layers.head_subset",
        "bench.layers.halting",
        "bench.layers.exits",
        "bench.layers.exit_rules",
        "bench.layers.tokens",
        "bench.layers.integer.layer",
        "bench.layers.rounded",
    ),
    group="bench.layers",
)


_STOCK: dict[str, type[nn.Module]] = {LINEAR: nn.Linear, NORM: nn.LayerNorm, IDENTITY: nn.Identity}


def describe(module: nn.Module) -> tuple[str, dict[str, Any]] | None:
    """Kind and arguments of a stored module, a plain `nn.Linear` or norm, or nothing; None for any other module."""
    if isinstance(module, StoredModule):
        return module.kind, module.arguments()
    if type(module) is nn.Linear:
        bias = module.bias is not None
        return LINEAR, {"in_features": module.in_features, "out_features": module.out_features, "bias": bias}
    if type(module) is nn.LayerNorm and module.elementwise_affine:
        shape = list(module.normalized_shape)
        return NORM, {"normalized_shape": shape, "eps": module.eps, "bias": module.bias is not None}
    return (IDENTITY, {}) if type(module) is nn.Identity else None


def rebuild(kind: str, arguments: dict[str, Any], *, where: str) -> nn.Module:
    """The empty module that `describe` described; raises `ArtifactError` for an unknown kind or wrong arguments."""
    try:
        stock = _STOCK.get(kind)
        return LAYER_KINDS.get(kind).from_arguments(**arguments) if stock is None else stock(**arguments)
    except UnknownNameError as error:
        raise ArtifactError(f"{where}: {error} It may need a newer bench, or the plug-in that made it.") from error
    except TypeError as error:
        raise ArtifactError(f"{where}: arguments {arguments} do not fit layer kind '{kind}': {error}") from error


def reads_whole_text(model: nn.Module) -> bool:
    """Whether a module of `model` depends on the words before the one it is given, and keeps none of them.

    Such a module has a true attribute `reads_whole_text`; a cache of keys and values would hide the text from it.
    """
    return any(bool(getattr(module, "reads_whole_text", False)) for module in model.modules())


class StoredStack(StoredModule, nn.ModuleList):
    """Takes the place of the list that an architecture runs from first to last, and of its loop.

    The layers keep their names in the list, so whatever changes a layer finds it where it was; what else the stack
    holds has other names. The architecture's own loop over the list meets one module, the stack itself, instead of the
    layers; everybody else asks for `positions`.
    """

    open: ClassVar[bool] = True

    @abstractmethod
    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        """[batch, length, width] through the layers; what a layer of the architecture would take and give."""

    def adopt(self, layers: Iterable[nn.Module]) -> StoredStack:
        """Take `layers` as its own, in order, and return itself."""
        self.extend(layers)
        return self

    def layers(self) -> list[nn.Module]:
        """The layers in the order in which they run, a shared one once for each run."""
        return [layer for name, layer in self._modules.items() if name.isdecimal() and layer is not None]

    def __len__(self) -> int:
        """How many layers there are."""
        return len(self.layers())

    def __iter__(self) -> Iterator[nn.Module]:
        """What the architecture's loop meets: itself, once."""
        return iter([self])

    def __repr__(self) -> str:
        """As of any module: that of a list would go through its iterator."""
        return nn.Module.__repr__(self)


def positions(stack: nn.ModuleList) -> nn.ModuleList:
    """The layers of a stack as a plain list, in the order in which they would run."""
    return nn.ModuleList(stack.layers()) if isinstance(stack, StoredStack) else stack
