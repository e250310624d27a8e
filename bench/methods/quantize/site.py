"""Where the matrices of a model are that can be quantized, and how their coded forms take their place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.composite import ProductEmbedding, ProductLinear
from bench.layers.factorized import FactorizedEmbedding, FactorizedLinear
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.sharing import replace_everywhere
from bench.methods.base.method import Role, Target
from bench.models.adapter import adapter_for
from bench.models.modules import vocabulary_tables

if TYPE_CHECKING:
    from bench.layers.input_rounding import InputRounding
    from bench.methods.quantize.grid import Coded

EMBEDDING: Literal["embedding"] = "embedding"


class WeightSite(ABC):
    """One stored place of weights: `name` is where, `role` what it does, `weights` its matrices by name.

    Shared modules and tied tables are one site. `layer` is the stored layer that it is in, "" outside of them.
    `multiplies` is the linear layer whose inputs may be rounded, None if there is none.
    """

    multiplies: nn.Module | None = None

    def __init__(self, name: str, role: Target, layer: str, weights: dict[str, Tensor]) -> None:
        self.name = name
        self.role = role
        self.layer = layer
        self.weights = weights

    @property
    def count(self) -> int:
        """Weights of all its matrices."""
        return sum(weight.numel() for weight in self.weights.values())

    @abstractmethod
    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        """Code every matrix and put the packed form in its place, wherever in `model` it is shared.

        `inputs` is how what it multiplies is rounded.
        """


class DenseSite(WeightSite):
    """A linear layer, in a Transformer, an LSTM's gates or a softmax of its own."""

    def __init__(self, name: str, role: Target, layer: str, linear: nn.Linear) -> None:
        super().__init__(name, role, layer, {f"{name}.weight": linear.weight})
        self.module = self.linear = linear
        self.multiplies = linear

    @override
    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        replace_everywhere(model, self.linear, _linear(code(self.linear.weight), self.linear.bias, inputs))


class FactorizedSite(WeightSite):
    """A factorized linear layer: both factors are coded."""

    def __init__(self, name: str, role: Target, layer: str, factors: FactorizedLinear) -> None:
        super().__init__(name, role, layer, {f"{name}.first": factors.first, f"{name}.second": factors.second})
        self.module = self.factors = factors

    @override
    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        """Raises `MethodError` for inputs that are to be rounded."""
        if inputs is not None:
            raise MethodError(f"quantize: {self.name} is factorized, so its inner activations have no range")
        first, second = _linear(code(self.factors.first), None), _linear(code(self.factors.second), self.factors.bias)
        replace_everywhere(model, self.factors, ProductLinear(first, second))


class TableSite(WeightSite):
    """A table of the vocabulary in every embedding that has it, and in the softmax that is tied to it."""

    def __init__(self, name: str, embeddings: Sequence[nn.Embedding], tied: nn.Linear | None) -> None:
        super().__init__(name, EMBEDDING, "", {f"{name}.weight": embeddings[0].weight})
        self.embeddings = embeddings
        self.tied = tied
        self.multiplies = tied

    @override
    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        """One packed table serves them all."""
        coded = code(self.embeddings[0].weight)
        packed = LowBitEmbedding.from_codes(coded.coding, coded.codes, coded.side)
        if self.tied is not None:
            replace_everywhere(model, self.tied, packed.softmax(self.tied.bias, inputs))
        for embedding in self.embeddings:
            replace_everywhere(model, embedding, packed)


class FactorizedTableSite(WeightSite):
    """A narrow table of the vocabulary, the matrix that widens its rows, and that of a softmax tied to the table."""

    def __init__(
        self, name: str, embeddings: Sequence[FactorizedEmbedding], tied: FactorizedLinear | None, tied_name: str = ""
    ) -> None:
        first = embeddings[0]
        weights: dict[str, Tensor] = {
            f"{name}.table": first.table.weight,
            f"{name}.projection": first.projection.weight,
        }
        if tied is not None:
            weights[f"{tied_name}.first"] = tied.first
        super().__init__(name, EMBEDDING, "", weights)
        self.embeddings = embeddings
        self.tied = tied

    @override
    def put(self, model: nn.Module, code: Callable[[Tensor], Coded], inputs: InputRounding | None = None) -> None:
        """One packed table serves them all. Raises `MethodError` for inputs that are to be rounded."""
        if inputs is not None:
            raise MethodError(f"quantize: {self.name} is factorized, so its inner activations have no range")
        first = self.embeddings[0]
        coded = code(first.table.weight)
        table = LowBitEmbedding.from_codes(coded.coding, coded.codes, coded.side)
        packed = ProductEmbedding(table, _linear(code(first.projection.weight), None))
        if self.tied is not None:
            narrowing = _linear(code(self.tied.first), None)
            replace_everywhere(model, self.tied, packed.tied(narrowing, self.tied.bias))
        for embedding in self.embeddings:
            replace_everywhere(model, embedding, packed)


def _linear(coded: Coded, bias: Tensor | None, inputs: InputRounding | None = None) -> LowBitLinear:
    return LowBitLinear.from_codes(coded.coding, coded.codes, coded.side, bias, inputs)


def find_sites(model: nn.Module, targets: Sequence[Target]) -> list[WeightSite]:
    """The matrices of `targets`, each stored one once, those inside the layers first.

    Raises `MethodError` for a layer without float weights in a form that can be coded, or a softmax whose table an
    embedding needs.
    """
    adapter = adapter_for(model)
    layers = {
        f"{block.name}.{inner}".lstrip("."): block.name
        for block in adapter.blocks(model)
        for inner in block.names.values()
    }
    wanted: list[Role] = [target for target in targets if target != EMBEDDING]
    adapter.linears(model, wanted)  # refuses a role that the model does not have
    ordered = [role for role in adapter.roles_of(model) if role in targets]
    found: list[DenseSite | FactorizedSite] = [
        _matrix(name, role, layers.get(name, ""), module)
        for role, name, module in adapter.linears_by_role(model, ordered)
    ]
    tables = _tables(model) if EMBEDDING in targets or "softmax" in targets else []
    tied = [site.tied for site in tables if site.tied is not None]
    if EMBEDDING in targets:
        return [*(site for site in found if site.module not in tied), *tables]
    if tied:
        raise MethodError(
            "quantize: the softmax is tied to the embedding, whose float table would stay, so nothing would be saved. "
            "Give the target 'embedding', which quantizes both."
        )
    return list(found)


def other_sites(model: nn.Module, known: Sequence[WeightSite]) -> list[WeightSite]:
    """The dense maps and tables of `model` that are no site yet, such as the pooler, the head and the positions.

    A table that several modules hold, a tied softmax among them, is one site.
    """
    held = {id(weight) for site in known for weight in site.weights.values()}
    found: list[WeightSite] = [
        site for site in _factorized_tables(model) if id(site.embeddings[0].table.weight) not in held
    ]
    held |= {id(weight) for site in found for weight in site.weights.values()}
    softmax = adapter_for(model).output_projection(model)
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if id(weight) in held:
            continue
        alike = [each for each in model.modules() if type(each) is nn.Embedding and each.weight is weight]
        if alike:
            held.add(id(weight))
            tied = softmax if type(softmax) is nn.Linear and softmax.weight is weight else None
            found.append(TableSite(name, alike, tied))
        elif type(module) is nn.Linear:
            found.append(DenseSite(name, "softmax", "", module))
    return found


def _matrix(name: str, role: Target, layer: str, module: nn.Module) -> DenseSite | FactorizedSite:
    if isinstance(module, FactorizedLinear):
        return FactorizedSite(name, role, layer, module)
    if isinstance(module, nn.Linear):
        return DenseSite(name, role, layer, module)
    raise MethodError(
        f"quantize: {name} is a {type(module).__name__}, which has no low-bit form. Quantize float layers, and only "
        f"once."
    )


def _tables(model: nn.Module) -> list[TableSite | FactorizedTableSite]:
    """Each table of the vocabulary, dense or narrow, with all that shares it."""
    main: nn.Module = adapter_for(model).word_embedding(model)
    if type(main) is not nn.Embedding and not isinstance(main, FactorizedEmbedding):
        raise MethodError(
            f"quantize: the embedding is a {type(main).__name__}, which has no low-bit form; only dense or factorized "
            f"float tables have one. Leave out the target 'embedding'."
        )
    dense = [TableSite(*table) for table in vocabulary_tables(model, main)]
    return [*dense, *_factorized_tables(model)]


def _factorized_tables(model: nn.Module) -> list[FactorizedTableSite]:
    """Each narrow table, each stored one once, with its widening matrix and the softmax that is tied to it."""
    softmax = adapter_for(model).output_projection(model)
    shared: dict[tuple[int, int], list[tuple[str, FactorizedEmbedding]]] = {}
    for name, module in model.named_modules():
        if isinstance(module, FactorizedEmbedding):
            both = (module.table.weight.data_ptr(), module.projection.weight.data_ptr())
            shared.setdefault(both, []).append((name, module))
    found = []
    for (table, _), places in shared.items():
        embeddings = [module for _, module in places]
        if isinstance(softmax, FactorizedLinear) and softmax.second.data_ptr() == table:
            name = next(name for name, module in model.named_modules() if module is softmax)
            found.append(FactorizedTableSite(places[0][0], embeddings, softmax, name))
        else:
            found.append(FactorizedTableSite(places[0][0], embeddings, None))
    return found
