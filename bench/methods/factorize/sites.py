"""Where the matrices of a model are that can be factorized, and how the factors take their place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.factorized import FactorizedEmbedding, FactorizedLinear
from bench.layers.sharing import replace_everywhere
from bench.models.adapter import adapter_for
from bench.models.modules import vocabulary_tables

if TYPE_CHECKING:
    from bench.methods.base.method import Target
    from bench.models.adapter import Adapter


class MatrixSite(ABC):
    """One dense matrix of a model: `module` holds it, `name` is where, `weight` is [m, n]."""

    def __init__(self, name: str, module: nn.Module, weight: Tensor) -> None:
        self.name = name
        self.module = module
        self.weight = weight
        self._placed: list[tuple[nn.Module, nn.Module]] = []

    @property
    def per_rank(self) -> int:
        """Weights that one of rank costs."""
        return sum(self.weight.shape)

    @property
    def most(self) -> int:
        """The largest rank that saves a weight: below m n / (weights per rank)."""
        return (self.weight.numel() - 1) // self.per_rank

    @abstractmethod
    def forms(self, second: Tensor, first: Tensor) -> list[tuple[nn.Module, nn.Module]]:
        """Each module with what takes its place for the factors `second` [m, rank] and `first` [rank, n]."""

    def put(self, model: nn.Module, second: Tensor, first: Tensor) -> None:
        """Put the factors in the matrix's place, wherever in `model` it is shared."""
        self.restore(model)
        forms = self.forms(second, first)
        for old, new in forms:
            replace_everywhere(model, old, new.train(old.training))
        self._placed = forms

    def restore(self, model: nn.Module) -> None:
        """Put the dense matrix back if factors are in its place."""
        for old, new in self._placed:
            replace_everywhere(model, new, old)
        self._placed = []

    def applied(self, inputs: Tensor) -> Tensor:
        """The two factors applied to inputs [rows, n], without a bias; raises `MethodError` if there are none."""
        layer = self._placed[0][1] if self._placed else None
        if not isinstance(layer, FactorizedLinear):
            raise MethodError(f"factorize: {self.name} has no factors that are applied to inputs")
        return functional.linear(functional.linear(inputs, layer.first.detach()), layer.second.detach())


class LinearSite(MatrixSite):
    """A linear layer, in a Transformer, an LSTM's gates or a softmax."""

    @override
    def forms(self, second: Tensor, first: Tensor) -> list[tuple[nn.Module, nn.Module]]:
        bias = self.module.bias
        return [(self.module, FactorizedLinear.from_factors(first, second, bias if bias is not None else None))]  # type: ignore[arg-type]


class EmbeddingSite(MatrixSite):
    """A vocabulary's table [V, H] in every embedding that has it, and in the softmax that is tied to it.

    The softmax gets its own matrix [rank, H] and shares the narrow table: h becomes table (first h).
    """

    def __init__(self, name: str, embeddings: Sequence[nn.Embedding], tied: nn.Linear | None) -> None:
        super().__init__(name, embeddings[0], embeddings[0].weight)
        self.embeddings = embeddings
        self.tied = tied

    @property
    def per_rank(self) -> int:
        """A column of the table, a row that widens it, and with a tied softmax a row that narrows."""
        entries, width = self.weight.shape
        return entries + width + (width if self.tied is not None else 0)

    @override
    def forms(self, second: Tensor, first: Tensor) -> list[tuple[nn.Module, nn.Module]]:
        padding = self.embeddings[0].padding_idx
        narrow = FactorizedEmbedding.from_factors(second, first, padding_idx=padding)
        found: list[tuple[nn.Module, nn.Module]] = [(embedding, narrow) for embedding in self.embeddings]
        if self.tied is not None:
            found.append((self.tied, tied_softmax(self.tied, narrow.table, first)))
        return found

    @override
    def restore(self, model: nn.Module) -> None:
        """Raises `MethodError` if several embeddings have become one, which cannot be undone."""
        if self._placed and len(self.embeddings) > 1:
            raise MethodError(
                f"factorize: {self.name}: the tables are already merged into one. Give rank, ratio or energy."
            )
        super().restore(model)


def tied_softmax(softmax: nn.Linear, table: nn.Embedding, narrowing: Tensor) -> FactorizedLinear:
    """A softmax from `narrowing` [rank, H] to `table` [V, rank], which it shares by identity; its bias is kept."""
    layer = FactorizedLinear.from_factors(narrowing, table.weight, softmax.bias)
    layer.register_parameter("second", table.weight)  # type: ignore[arg-type]
    return layer


def find_sites(model: nn.Module, targets: Sequence[Target]) -> list[MatrixSite]:
    """The dense matrices of `targets`, each stored one once.

    Raises `MethodError` for a layer that is no longer a dense matrix, or a softmax whose table an embedding needs.
    """
    adapter = adapter_for(model)
    roles = [target for target in targets if target != "embedding"]
    linears = adapter.linears(model, roles) if roles else {}
    sites = [_linear(name, module) for name, module in linears.items()]
    if "softmax" in targets:
        _refuse_a_tied_softmax(model, adapter)
    return [*sites, *(embedding_sites(model) if "embedding" in targets else [])]


def embedding_sites(model: nn.Module) -> list[EmbeddingSite]:
    """Each table of the vocabulary, the encoder's first, with all that shares it.

    Raises `MethodError` if the model's embedding is no longer a dense table.
    """
    main: nn.Module = adapter_for(model).word_embedding(model)
    if type(main) is not nn.Embedding:
        raise MethodError(
            f"factorize: the embedding is a {type(main).__name__}, not a dense table. Factorize before other stages."
        )
    return [EmbeddingSite(*table) for table in vocabulary_tables(model, main)]


def _linear(name: str, module: nn.Module) -> MatrixSite:
    if not isinstance(module, nn.Linear):
        raise MethodError(
            f"factorize: {name} is a {type(module).__name__}, not a dense matrix. Factorize before other stages."
        )
    return LinearSite(name, module, module.weight)


def _refuse_a_tied_softmax(model: nn.Module, adapter: Adapter) -> None:
    softmax = adapter.output_projection(model)
    tables = {module.weight.data_ptr() for module in adapter.embeddings(model).values()}
    if isinstance(softmax, nn.Linear) and softmax.weight.data_ptr() in tables:
        raise MethodError(
            "factorize: the softmax is tied to the embedding, whose table would stay, so nothing would be saved. Give "
            "the target 'embedding', which factorizes both, or a model without tying."
        )
