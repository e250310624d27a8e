"""What a granularity is: how much of a matrix has one scale."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from bench.base.errors import MethodError
from bench.base.registry import Registry
from bench.methods.base.choice import Choice

if TYPE_CHECKING:
    from bench.layers.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Shaped:
    """A matrix [rows, columns] of a role.

    `role` is one of `bench.models.roles`, or "embedding". `head_width` is that of one attention head, None where the
    model has none.
    """

    rows: int
    columns: int
    role: str
    head_width: int | None


class Granularity(Choice):
    """Cuts a matrix into cells; fields are its arguments."""

    @abstractmethod
    def cells(self, shaped: Shaped) -> Cells:
        """The cells of one matrix; raises `MethodError` where it cannot be cut so."""


class _Tensor(Granularity):
    """One scale for the matrix."""

    def cells(self, shaped: Shaped) -> Cells:
        return _cells(shaped, 1, shaped.columns)


class _Row(Granularity):
    """One scale an output channel; of an embedding, one a word."""

    def cells(self, shaped: Shaped) -> Cells:
        return _cells(shaped, shaped.rows, shaped.columns)


class _Groups(Granularity):
    """`groups` contiguous runs of output rows, which need not divide them (Q-BERT); at most one a row."""

    groups: int = Field(128, ge=1, description="runs of output rows a matrix")

    def cells(self, shaped: Shaped) -> Cells:
        return _cells(shaped, min(self.groups, shaped.rows), shaped.columns)


class _Head(Granularity):
    """The rows of each attention head in query, key and value, its columns in the output projection (Q-BERT).

    Other matrices have as many runs of rows as the query has heads, so that all have about the same number of cells;
    for them, and where heads were removed, it is their width that counts.
    """

    def cells(self, shaped: Shaped) -> Cells:
        width = shaped.head_width
        if width is None:
            raise MethodError("quantize: granularity 'head' needs a model with attention heads")
        if shaped.role in ("attention_output", "cross_output"):
            return _cells(shaped, 1, min(width, shaped.columns))
        inner = shaped.columns if shaped.role in ("ffn_in", "embedding", "softmax") else shaped.rows
        return _cells(shaped, min(max(1, inner // width), shaped.rows), shaped.columns)


class _Bucket(Granularity):
    """`bucket` neighbours of a row; the last bucket of a row may be shorter."""

    bucket: int = Field(64, ge=1, description="neighbours in a row")

    def cells(self, shaped: Shaped) -> Cells:
        return _cells(shaped, shaped.rows, min(self.bucket, shaped.columns))


def _cells(shaped: Shaped, groups: int, bucket: int) -> Cells:
    from bench.layers.cells import Cells

    return Cells(rows=shaped.rows, columns=shaped.columns, groups=groups, bucket=bucket)


GRANULARITIES: Registry[type[Granularity]] = Registry("granularity", modules=(), group="bench.granularities")
GRANULARITIES.register("tensor")(_Tensor)
GRANULARITIES.register("row")(_Row)
GRANULARITIES.register("groups")(_Groups)
GRANULARITIES.register("head")(_Head)
GRANULARITIES.register("bucket")(_Bucket)
