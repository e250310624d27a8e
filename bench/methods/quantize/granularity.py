"""What a granularity is: how much of a matrix has one scale."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.layers.cells import Cells


@dataclass(frozen=True, kw_only=True)
class MatrixShape:
    """A matrix [rows, columns] of a role.

    `role` is one of `bench.models.roles`, or "embedding". `head_width` is that of one attention head, None if the
    model has none.
    """

    rows: int
    columns: int
    role: str
    head_width: int | None


class Granularity(Choice):
    """Cuts a matrix into cells; fields are its arguments."""

    @abstractmethod
    def cells(self, matrix: MatrixShape) -> Cells:
        """The cells of one matrix; raises `MethodError` if it cannot be cut so."""


GRANULARITIES: Choices[Granularity] = Choices("granularity", modules=(), group="bench.granularities")


@GRANULARITIES.register("tensor")
class PerTensor(Granularity):
    """One scale for the matrix."""

    @override
    def cells(self, matrix: MatrixShape) -> Cells:
        return _cells(matrix, 1, matrix.columns)


@GRANULARITIES.register("row")
class PerRow(Granularity):
    """One scale per output channel; of an embedding, one per word."""

    @override
    def cells(self, matrix: MatrixShape) -> Cells:
        return _cells(matrix, matrix.rows, matrix.columns)


@GRANULARITIES.register("groups")
class PerGroup(Granularity):
    """`count` contiguous groups of output rows, of equal size or differing by one row (Q-BERT); at most one per row."""

    count: int = Field(128, ge=1, description="number of groups of output rows per matrix")

    @override
    def cells(self, matrix: MatrixShape) -> Cells:
        return _cells(matrix, min(self.count, matrix.rows), matrix.columns)


@GRANULARITIES.register("head")
class PerHead(Granularity):
    """The rows of each attention head in query, key and value, its columns in the output projection (Q-BERT).

    Other matrices have as many runs of rows as the query has heads, so that all have about the same number of cells;
    for them, and if heads were removed, it is their width that counts.
    """

    @override
    def cells(self, matrix: MatrixShape) -> Cells:
        width = matrix.head_width
        if width is None:
            raise MethodError("quantize: granularity 'head' needs a model with attention heads")
        if matrix.role in ("attention_output", "cross_output"):
            return _cells(matrix, 1, min(width, matrix.columns))
        inner = matrix.columns if matrix.role in ("ffn_in", "embedding", "softmax") else matrix.rows
        return _cells(matrix, min(max(1, inner // width), matrix.rows), matrix.columns)


@GRANULARITIES.register("bucket")
class PerBucket(Granularity):
    """`size` neighbouring weights of a row; the last bucket of a row may be shorter."""

    size: int = Field(64, ge=1, description="number of neighbouring weights per group, within a row")

    @override
    def cells(self, matrix: MatrixShape) -> Cells:
        return _cells(matrix, matrix.rows, min(self.size, matrix.columns))


def _cells(matrix: MatrixShape, groups: int, bucket: int) -> Cells:
    from bench.layers.cells import Cells

    return Cells(rows=matrix.rows, columns=matrix.columns, groups=groups, bucket=bucket)
