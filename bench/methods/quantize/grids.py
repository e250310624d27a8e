"""The grids of few numbers: even steps over a range, ternary and binary weights."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.quantize.grid import GRIDS, CellBounds, Coded, Grid, GridInput

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells


class Even(Grid):
    """A grid of even steps over a range."""

    ranged: ClassVar[bool] = True


@GRIDS.register("symmetric")
class Symmetric(Even):
    """w = s q with q in [-M, M], M = 2^(b-1) - 1, and s the larger end of the range over M; halves round to even.

    The scheme of Q8BERT and, for weights, of Jacob et al. 2018 (arXiv:1712.05877, §2). A cell of zeros has scale 1.
    """

    widths: ClassVar[range] = range(2, 9)

    @override
    def code(self, given: GridInput) -> Coded:
        scale = self._scale(given)
        return _coded(given, "steps", _complement(_signed(given, scale), given.bits), scale=scale)

    @override
    def rounded(self, given: GridInput) -> Tensor:
        scale = self._scale(given)
        return _signed(given, scale).mul_(given.cells.whole(scale))

    def _scale(self, given: GridInput) -> Tensor:
        return _positive(_reach(given) / (2 ** (given.bits - 1) - 1))


@GRIDS.register("power-of-two")
class PowerOfTwo(Even):
    """The symmetric grid with the smallest power of two that covers the range as scale, so that scaling is a shift."""

    widths: ClassVar[range] = range(2, 9)

    @override
    def code(self, given: GridInput) -> Coded:
        """The exponent takes one byte and is kept in [-126, 127]."""
        exponent, scale = self._scale(given)
        return _coded(given, "shifts", _complement(_signed(given, scale), given.bits), exponent=exponent)

    @override
    def rounded(self, given: GridInput) -> Tensor:
        _, scale = self._scale(given)
        return _signed(given, scale).mul_(given.cells.whole(scale))

    def _scale(self, given: GridInput) -> tuple[Tensor, Tensor]:
        import torch

        largest = 2 ** (given.bits - 1) - 1
        exponent = _positive(_reach(given) / largest).log2().ceil_().clamp_(-126, 127)
        return exponent, torch.ldexp(torch.ones_like(exponent), exponent.int())


@GRIDS.register("affine")
class Affine(Even):
    """w = s (q - z) with q and z in [0, 2^b - 1], over the range widened to contain 0, which is exact.

    The scheme of Jacob et al. 2018 (§2.1).
    """

    widths: ClassVar[range] = range(1, 9)

    @override
    def code(self, given: GridInput) -> Coded:
        steps, scale, zero = self._steps(given)
        return _coded(given, "affine", steps, scale=scale, zero=zero)

    @override
    def rounded(self, given: GridInput) -> Tensor:
        steps, scale, zero = self._steps(given)
        return steps.sub_(given.cells.whole(zero)).mul_(given.cells.whole(scale))

    def _steps(self, given: GridInput) -> tuple[Tensor, Tensor, Tensor]:
        most = 2**given.bits - 1
        bounds = _bounds(given)
        low, high = bounds.low.clamp(max=0), bounds.high.clamp(min=0)
        scale = _positive((high - low) / most)
        zero = (-low / scale).round().clamp(0, most)
        steps = (given.values / given.cells.whole(scale)).round_().add_(given.cells.whole(zero)).clamp_(0, most)
        return steps, scale, zero


@GRIDS.register("interval")
class IntervalGrid(Even):
    """w = low + s q with q in [0, 2^b - 1] and s = (high - low) / (2^b - 1): both ends are exact, zero need not be.

    The quantizer of Q-BERT (Shen et al. 2020, arXiv:1909.05840, §3) and FullyQT.
    """

    widths: ClassVar[range] = range(1, 9)
    keeps_zero: ClassVar[bool] = False

    @override
    def code(self, given: GridInput) -> Coded:
        steps, scale, low = self._steps(given)
        return _coded(given, "interval", steps, scale=scale, low=low)

    @override
    def rounded(self, given: GridInput) -> Tensor:
        steps, scale, low = self._steps(given)
        return steps.mul_(given.cells.whole(scale)).add_(given.cells.whole(low))

    def _steps(self, given: GridInput) -> tuple[Tensor, Tensor, Tensor]:
        most = 2**given.bits - 1
        bounds = _bounds(given)
        scale = _positive((bounds.high - bounds.low) / most)
        steps = (given.values - given.cells.whole(bounds.low)).div_(given.cells.whole(scale)).round_().clamp_(0, most)
        return steps, scale, bounds.low


def _signed(given: GridInput, scale: Tensor) -> Tensor:
    """The nearest whole number of steps, at most 2^(b-1) - 1 to each side."""
    largest = 2 ** (given.bits - 1) - 1
    return (given.values / given.cells.whole(scale)).round_().clamp_(-largest, largest)


def _bounds(given: GridInput) -> CellBounds:
    if given.bounds is None:
        raise MethodError("quantize: a uniform grid needs the bounds of each cell")
    return given.bounds


def _reach(given: GridInput) -> Tensor:
    bounds = _bounds(given)
    return bounds.low.abs().maximum(bounds.high.abs())


def _positive(scale: Tensor) -> Tensor:
    """The scale, or 1 if it would be 0."""
    return scale.masked_fill(scale == 0, 1.0)


def _complement(steps: Tensor, bits: int) -> Tensor:
    """Signed steps in two's complement."""
    codes: Tensor = steps.int() & (2**bits - 1)
    return codes


def _coded(given: GridInput, form: str, codes: Tensor, **side: Tensor) -> Coded:
    import torch

    from bench.layers.coding import Coding

    coding = Coding(form=form, bits=given.bits, cells=given.cells)  # type: ignore[arg-type]
    stored = {name: side[name].to(dtype) for name, (_, dtype) in coding.shapes().items()}
    return Coded(coding=coding, codes=codes.to(torch.uint8), side=stored)


THRESHOLD = 0.7  # of the mean magnitude
_ROUNDS = 10


class Kept(Grid):
    """w = a sign(w) for the weights that are kept, and 0 for the others."""

    widths: ClassVar[range] = range(2, 3)

    @override
    def code(self, given: GridInput) -> Coded:
        from bench.layers.coding import Coding

        kept, scale = self._support(given)
        signs = given.values.sign().mul_(kept).int() & 3
        return Coded(coding=Coding(form="steps", bits=2, cells=given.cells), codes=signs.byte(), side={"scale": scale})

    @override
    def rounded(self, given: GridInput) -> Tensor:
        kept, scale = self._support(given)
        return given.values.sign().mul_(kept).mul_(given.cells.whole(scale))

    @abstractmethod
    def _support(self, given: GridInput) -> tuple[Tensor, Tensor]:
        """Which weights are kept, bool [rows, columns], and a of each cell."""


@GRIDS.register("ternary")
class Ternary(Kept):
    """w = a sign(w) where |w| > 0.7 mean |w| and else 0, a the mean magnitude of those kept.

    Ternary weight networks (Li et al. 2016, arXiv:1605.04711, eq. 6), as in TernaryBERT. Given the support, this a has
    the least squared error. A code takes 2 bits.
    """

    def _support(self, given: GridInput) -> tuple[Tensor, Tensor]:
        cells, magnitude = given.cells, given.values.abs()
        mean = cells.reduce(magnitude, "sum") / cells.sizes().to(magnitude.device)
        kept = magnitude > THRESHOLD * cells.whole(mean)
        count = cells.reduce(kept.float(), "sum")
        scale = cells.reduce(magnitude * kept, "sum") / count.clamp_min(1)
        return kept, scale


@GRIDS.register("loss-aware-ternary")
class LossAware(Kept):
    """Ternary weights with the least second-order change of the loss, for a diagonal curvature D (Hou & Kwok 2018).

    a = |b D w|_1 / |b D|_1 and b = sign(w) where |w| > a / 2 in turn, at most 10 times, from a = mean |w| weighted by
    D (arXiv:1802.08635, alg. 1, as TernaryBERT has it). Raises `MethodError` if no curvature is known.
    """

    curved: ClassVar[bool] = True

    def _support(self, given: GridInput) -> tuple[Tensor, Tensor]:
        if given.moments is None:
            raise MethodError(
                "quantize: grid 'loss-aware-ternary' needs the curvature of each weight, which only training "
                "provides. Without training, give grid 'ternary'."
            )
        cells, magnitude = given.cells, given.values.abs()
        curvature = _somewhere(given.moments, cells)
        kept = magnitude > 0
        for _ in range(_ROUNDS):
            weight = cells.reduce(curvature * kept, "sum")
            scale = cells.reduce(magnitude * curvature * kept, "sum") / weight.masked_fill(weight == 0, 1.0)
            again = magnitude > cells.whole(scale / 2)
            if bool((again == kept).all()):
                break
            kept = again
        weight = cells.reduce(curvature * kept, "sum")
        scale = cells.reduce(magnitude * curvature * kept, "sum") / weight.masked_fill(weight == 0, 1.0)
        return kept, scale


def _somewhere(moments: Tensor, cells: Cells) -> Tensor:
    """The curvature, equal everywhere in a cell that has none, such as a word that training never saw."""
    flat = cells.whole(cells.reduce(moments, "amax")) == 0
    return moments.masked_fill(flat, 1.0)


@GRIDS.register("binary")
class Binary(Grid):
    """w = a sign(w) with a the mean magnitude and sign(0) = 1 (Rastegari et al. 2016, arXiv:1603.05279, eq. 6).

    The binary weight networks of BinaryBERT. A weight of zero does not stay zero.
    """

    widths: ClassVar[range] = range(1, 2)
    keeps_zero: ClassVar[bool] = False

    @override
    def code(self, given: GridInput) -> Coded:
        import torch

        from bench.layers.coding import Coding

        coding = Coding(form="signs", bits=1, cells=given.cells)
        return Coded(coding=coding, codes=(given.values >= 0).to(torch.uint8), side={"scale": _scale(given)})

    @override
    def rounded(self, given: GridInput) -> Tensor:
        return (given.values >= 0).float().mul_(2).sub_(1).mul_(given.cells.whole(_scale(given)))


def _scale(given: GridInput) -> Tensor:
    cells = given.cells
    return cells.reduce(given.values.abs(), "sum") / cells.sizes().to(given.values.device)
