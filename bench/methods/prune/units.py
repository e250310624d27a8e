"""What a unit of pruning is, the units that are cells of one matrix, and single elements of every tensor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Listed, Target
from bench.methods.prune.site import Site, SitePiece

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Where:
    """What of a model is cut into units: `targets`, empty for every matrix inside the layers."""

    targets: tuple[Target, ...] = ()
    biases: bool = False


class Unit(Choice):
    """A way to cut a model into units; fields are its arguments."""

    @abstractmethod
    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        """The sites of `model`; raises `MethodError` if it has no such units."""


UNITS: Choices[Unit] = Choices(
    "unit", modules=("bench.methods.prune.units", "bench.methods.prune.structural"), group="bench.units"
)


class Matrices(Unit):
    """Units that are cells of the targeted matrices; subclasses say how large a cell of [m, n] is.

    With `where.biases` the bias of a matrix whose cells are whole rows is pruned with them.
    """

    @abstractmethod
    def cell(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of one unit in a matrix of `shape`."""

    @override
    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        found = []
        for matrix in matrices(model, where.targets):
            rows, columns = matrix.weight.shape
            cell = self.cell((rows, columns))
            pieces = [SitePiece(name=matrix.name, parameter=matrix.weight, cell=cell)]
            if where.biases and matrix.bias is not None and cell[1] == columns:
                pieces.append(SitePiece(name=matrix.bias_name, parameter=matrix.bias, cell=cell[:1]))
            found.append(Site(name=matrix.name, kind=matrix.kind, pieces=tuple(pieces)))
        return found


class Sided(Unit):
    """A unit with blocks."""

    size: Annotated[tuple[int, int], Listed] = Field(
        (4, 4), description="rows and columns of a block; on a command line: 4+4"
    )


@UNITS.register("weight")
class WeightUnit(Matrices):
    """One weight."""

    @override
    def cell(self, shape: tuple[int, int]) -> tuple[int, int]:
        return (1, 1)


@UNITS.register("block")
class BlockUnit(Sided, Matrices):
    """A rectangle of `size` rows and columns; the last of a row or column of blocks may be smaller."""

    @override
    def cell(self, shape: tuple[int, int]) -> tuple[int, int]:
        return (min(self.size[0], shape[0]), min(self.size[1], shape[1]))


@UNITS.register("row")
class RowUnit(Matrices):
    """One row: the weights of one output."""

    @override
    def cell(self, shape: tuple[int, int]) -> tuple[int, int]:
        return (1, shape[1])


@UNITS.register("column")
class ColumnUnit(Matrices):
    """One column: the weights of one input."""

    @override
    def cell(self, shape: tuple[int, int]) -> tuple[int, int]:
        return (shape[0], 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """One stored weight matrix with its class and its bias, which a factorized layer has on the second factor only."""

    name: str
    kind: str
    weight: nn.Parameter
    bias: nn.Parameter | None
    bias_name: str


def matrices(model: nn.Module, targets: Sequence[Target] = ()) -> list[Matrix]:
    """Every stored weight matrix of the targets, each once; a factorized layer has two.

    Raises `MethodError` for a layer without floating-point weights, `ModelError` for a role that the model lacks.
    """
    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    roles = [role for role in targets if role != "embedding"] or (
        [] if targets else [role for role in adapter.roles_of(model) if role != "softmax"]
    )
    found: list[Matrix] = []
    for role, name, module in adapter.linears_by_role(model, roles):
        found += _of_module(name, role, module)
    if "embedding" in targets:
        table = adapter.word_embedding(model)
        for name, embedding in adapter.embeddings(model).items():
            # Tables of positions that happen to be as long as the vocabulary are mostly sinusoids, which do not train.
            words = embedding.num_embeddings == table.num_embeddings and embedding.weight.requires_grad
            found += _of_module(name, "embedding", embedding) if words else []
    once: dict[int, Matrix] = {}
    for matrix in found:
        once.setdefault(id(matrix.weight), matrix)
    return list(once.values())


def _of_module(name: str, kind: str, module: nn.Module) -> list[Matrix]:
    inside = dict(module.named_parameters())
    weights = [key for key, parameter in inside.items() if parameter.dim() == 2]
    if not weights:
        raise MethodError(
            f"prune: {name} is a {type(module).__name__} without floating-point weights. Prune before quantizing."
        )
    bias = inside.get("bias")
    return [
        Matrix(
            name=f"{name}.{key}",
            kind=kind,
            weight=inside[key],
            bias=bias if bias is not None and bias.shape[:1] == inside[key].shape[:1] else None,
            bias_name=f"{name}.bias",
        )
        for key in weights
    ]


@UNITS.register("element")
class ElementUnit(Unit):
    """One number of any tensor below the head: embeddings, matrices, biases and norms; `targets` does not apply.

    What diff pruning prunes, the change of the whole pretrained model (Guo et al. 2021, arXiv:2012.07463).
    """

    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        """One site for each stored tensor that trains."""
        prefix = str(getattr(model, "base_model_prefix", ""))
        inside = f"{prefix}." if prefix and hasattr(model, prefix) else ""
        found = []
        for name, parameter in model.named_parameters():
            if name.startswith(inside) and parameter.requires_grad:
                piece = SitePiece(name=name, parameter=parameter, cell=(1,) * parameter.dim())
                found.append(Site(name=name, kind=name.rpartition(".")[2], pieces=(piece,)))
        return found
