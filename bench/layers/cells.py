"""How a matrix is cut into cells, each of which has a scale of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from bench.base.errors import MethodError


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A matrix [rows, columns] in `groups` contiguous runs of rows times buckets of `bucket` columns.

    Row r belongs to group floor(r * groups / rows), so that runs differ by at most one row if `groups` does not
    divide; the last bucket of a row may be shorter. One tensor of values, such as scales, is [groups, buckets].
    """

    rows: int
    columns: int
    groups: int
    bucket: int

    def __post_init__(self) -> None:
        if not 1 <= self.groups <= self.rows or not 1 <= self.bucket <= self.columns:
            raise MethodError(
                f"{self.groups} groups of rows and buckets of {self.bucket} columns do not fit a matrix of "
                f"{self.rows} x {self.columns}"
            )

    @property
    def buckets(self) -> int:
        """Cells along a row."""
        return -(-self.columns // self.bucket)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along each axis."""
        return (self.groups, self.buckets)

    def group_of(self, rows: Tensor) -> Tensor:
        """The group of each row number, int64."""
        return rows.long() * self.groups // self.rows

    def expand(self, cells: Tensor, rows: Tensor) -> Tensor:
        """One value per cell [groups, buckets] to one per element [len(rows), columns] or a shape that broadcasts.

        Args:
            cells: the values.
            rows: row numbers [n].
        """
        by_row = cells if self.groups == 1 else cells[self.group_of(rows)]
        if self.buckets == 1:
            return by_row
        return by_row.repeat_interleave(self.bucket, dim=1)[:, : self.columns]

    def whole(self, cells: Tensor) -> Tensor:
        """`expand` for every row of the matrix."""
        return self.expand(cells, torch.arange(self.rows, device=cells.device))

    def reduce(self, values: Tensor, how: Literal["sum", "amax", "amin"]) -> Tensor:
        """One number per cell [groups, buckets] of a matrix [rows, columns]."""
        fill = {"sum": 0.0, "amax": float("-inf"), "amin": float("inf")}[how]
        short = self.buckets * self.bucket - self.columns
        padded = functional.pad(values, (0, short), value=fill) if short else values  # padding by nothing would copy
        by_row: Tensor = getattr(padded.reshape(self.rows, self.buckets, self.bucket), how)(dim=2)  # [rows, buckets]
        if self.groups == self.rows:
            return by_row
        start = by_row.new_full(self.shape, fill)
        index = self.group_of(torch.arange(self.rows, device=values.device))[:, None].expand_as(by_row)
        return start.scatter_reduce(0, index, by_row, reduce=how)

    def sizes(self) -> Tensor:
        """Elements of each cell [groups, buckets], float32."""
        rows = self.group_of(torch.arange(self.rows)).bincount(minlength=self.groups)
        columns = torch.full((self.buckets,), self.bucket)
        columns[-1] = self.columns - (self.buckets - 1) * self.bucket
        return torch.outer(rows, columns).float()

    def split(self, values: Tensor) -> list[Tensor]:
        """The elements of each cell, flat, row-major over [groups, buckets]."""
        counts = self.group_of(torch.arange(self.rows)).bincount(minlength=self.groups).tolist()
        groups = torch.split(values, counts, dim=0)
        return [cell.reshape(-1) for group in groups for cell in torch.split(group, self.bucket, dim=1)]
