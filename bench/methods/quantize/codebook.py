"""A codebook of a few numbers for most weights, and the outliers of a Gaussian in full (GOBO)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.quantize.grid import GRIDS, Coded, Grid, GridInput

if TYPE_CHECKING:
    from torch import Tensor

LEAST_LOG_PROBABILITY = -4.0
_MOST_ROUNDS = 10_000


class Codebook(Grid):
    """GOBO (Zadeh et al. 2020, arXiv:2005.03842): 2^b centroids a cell, and outliers that stay as they are.

    A normal distribution is fitted to the raw weights of each cell; a weight whose log density is below -4 is an
    outlier (for a deviation of 0.04 beyond 3.55 deviations; if weights are spread so far that all densities are
    lower, none is). The others are sorted into 2^b bins of equal population; the centroids are the means of the bins,
    and then in turn each weight goes to its nearest centroid and each centroid to the mean of its weights, for as long
    as the sum of absolute errors falls.
    """

    widths: ClassVar[range] = range(1, 9)
    keeps_zero: ClassVar[bool] = False

    @override
    def code(self, given: GridInput) -> Coded:
        import torch

        from bench.layers.coding import Coding

        cells, values = given.cells, given.values
        least, most = self._inner(given)
        outside = (values < cells.whole(least)) | (values > cells.whole(most))
        books = []
        for cell, out in zip(cells.split(values), cells.split(outside), strict=True):
            books.append(centroids(cell[~out], given.bits).book)
        book = torch.stack(books).view(*cells.shape, -1)
        places = outside.view(-1).nonzero()[:, 0]
        coding = Coding(form="codebook", bits=given.bits, cells=cells, outliers=len(places))
        side = {"codebook": book}
        if len(places):
            side |= {"outlier_places": places.int(), "outlier_values": values.reshape(-1)[places].clone()}
        return Coded(coding=coding, codes=self._nearest(given, (book[..., 1:] + book[..., :-1]) / 2), side=side)

    def _nearest(self, given: GridInput, middles: Tensor) -> Tensor:
        """How many of its cell's `middles` [groups, buckets, 2^bits - 1] each value is above."""
        import torch

        if middles.shape[:2] == (1, 1):
            return torch.bucketize(given.values, middles.flatten(), out_int32=True).to(torch.uint8)
        codes = torch.zeros(given.values.shape, dtype=torch.uint8, device=given.values.device)
        for middle in middles.unbind(-1):
            codes += given.values > given.cells.whole(middle)
        return codes

    def _inner(self, given: GridInput) -> tuple[Tensor, Tensor]:
        """The ends, one pair per cell, between which a weight is no outlier."""
        cells, values = given.cells, given.values
        count = cells.sizes().to(values.device)
        mean = cells.reduce(values, "sum") / count
        variance = cells.reduce((values - cells.whole(mean)).square(), "sum") / count
        reach = (variance * 2 * (-LEAST_LOG_PROBABILITY - (2 * math.pi * variance).log() / 2)).sqrt()
        # No density is defined for equal weights, and none above the threshold if weights are spread very far.
        reach = reach.nan_to_num(nan=math.inf, posinf=math.inf)
        reach = reach.masked_fill(variance == 0, math.inf)
        return mean - reach, mean + reach


class Fitted(NamedTuple):
    """The centroids in rising order [2^bits], and the sum of absolute errors after each round."""

    book: Tensor
    errors: list[float]


def centroids(values: Tensor, bits: int) -> Fitted:
    """Fit 2^bits centroids to flat `values`, in float64 over sorted values and their running sums.

    A round costs 2^bits searches, however many values there are; a centroid without values stays where it was. Raises
    `MethodError` if the error still falls after 10,000 rounds.
    """
    import torch

    count = 2**bits
    ordered = _sorted(values.detach()).double()
    if not len(ordered):
        return Fitted(torch.zeros(count), [])
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    ends = (torch.arange(count + 1, device=values.device) * len(ordered)) // count
    book = _means(sums, ends, ordered[(ends[:-1]).clamp(max=len(ordered) - 1)])
    ends = _nearest(ordered, book)
    errors = [_absolute(ordered, sums, ends, book)]
    for _ in range(_MOST_ROUNDS):
        moved = _means(sums, ends, book)
        nearest = _nearest(ordered, moved)
        error = _absolute(ordered, sums, nearest, moved)
        if error >= errors[-1]:
            break
        book, ends = moved, nearest
        errors.append(error)
    else:
        raise MethodError(
            f"quantize: the {count} centroids of a codebook of {len(ordered):,} weights still move after "
            f"{_MOST_ROUNDS:,} rounds. Give fewer bits, or smaller groups."
        )
    return Fitted(book.float(), errors)


def _sorted(values: Tensor) -> Tensor:
    """The values in rising order; numpy's sort of floats takes a fraction of the time of torch's."""
    import numpy as np
    import torch

    return torch.from_numpy(np.sort(values.cpu().numpy())).to(values.device)


def _means(sums: Tensor, ends: Tensor, otherwise: Tensor) -> Tensor:
    """The mean of each run of values between two ends; `otherwise` if it is empty."""
    counts = ends.diff()
    means = (sums[ends[1:]] - sums[ends[:-1]]) / counts.clamp_min(1)
    return means.where(counts > 0, otherwise).sort().values


def _nearest(ordered: Tensor, book: Tensor) -> Tensor:
    """Where in the sorted values the run of each centroid ends, from 0 to all."""
    import torch

    middle = torch.searchsorted(ordered, (book[1:] + book[:-1]) / 2, right=True)
    return torch.cat([middle.new_zeros(1), middle, middle.new_tensor([len(ordered)])])


def _absolute(ordered: Tensor, sums: Tensor, ends: Tensor, book: Tensor) -> float:
    """The sum of |value - centroid|: above the centroid sum - n c, below it n c - sum."""
    import torch

    cut = torch.searchsorted(ordered, book).clamp(ends[:-1], ends[1:])
    below = (cut - ends[:-1]) * book - (sums[cut] - sums[ends[:-1]])
    above = (sums[ends[1:]] - sums[cut]) - (ends[1:] - cut) * book
    return float((below + above).sum())


GRIDS.register("codebook")(Codebook)
