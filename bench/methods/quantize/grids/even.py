"""Grids of even steps: symmetric, with a zero point, from one end of a range to the other, and by powers of two."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.base.errors import MethodError
from bench.methods.quantize.grid import GRIDS, Asked, Bounds, Coded, Grid

if TYPE_CHECKING:
    from torch import Tensor


class Even(Grid):
    """A grid of even steps over a range."""

    ranged: ClassVar[bool] = True


class Symmetric(Even):
    """w = s q with q in [-M, M], M = 2^(b-1) - 1, and s the larger end of the range over M; halves round to even.

    The scheme of Q8BERT and, for weights, of Jacob et al. 2018 (arXiv:1712.05877, §2). A cell of zeros has scale 1.
    """

    widths: ClassVar[range] = range(2, 9)

    def code(self, asked: Asked) -> Coded:
        """See `Grid`."""
        scale = self._scale(asked)
        return _coded(asked, "steps", _complement(_signed(asked, scale), asked.bits), scale=scale)

    def rounded(self, asked: Asked) -> Tensor:
        """See `Grid`."""
        scale = self._scale(asked)
        return _signed(asked, scale).mul_(asked.cells.whole(scale))

    def _scale(self, asked: Asked) -> Tensor:
        return _positive(_reach(asked) / (2 ** (asked.bits - 1) - 1))


class PowerOfTwo(Even):
    """The symmetric grid whose scale is the least power of two that covers the range: multiplying by it is a shift."""

    widths: ClassVar[range] = range(2, 9)

    def code(self, asked: Asked) -> Coded:
        """See `Grid`; the exponent takes one byte and is kept in [-126, 127]."""
        exponent, scale = self._scale(asked)
        return _coded(asked, "shifts", _complement(_signed(asked, scale), asked.bits), exponent=exponent)

    def rounded(self, asked: Asked) -> Tensor:
        """See `Grid`."""
        _, scale = self._scale(asked)
        return _signed(asked, scale).mul_(asked.cells.whole(scale))

    def _scale(self, asked: Asked) -> tuple[Tensor, Tensor]:
        import torch

        largest = 2 ** (asked.bits - 1) - 1
        exponent = _positive(_reach(asked) / largest).log2().ceil_().clamp_(-126, 127)
        return exponent, torch.ldexp(torch.ones_like(exponent), exponent.int())


class Affine(Even):
    """w = s (q - z) with q and z in [0, 2^b - 1], over the range widened to hold 0, which is exact.

    The scheme of Jacob et al. 2018 (§2.1).
    """

    widths: ClassVar[range] = range(1, 9)

    def code(self, asked: Asked) -> Coded:
        """See `Grid`."""
        steps, scale, zero = self._steps(asked)
        return _coded(asked, "affine", steps, scale=scale, zero=zero)

    def rounded(self, asked: Asked) -> Tensor:
        """See `Grid`."""
        steps, scale, zero = self._steps(asked)
        return steps.sub_(asked.cells.whole(zero)).mul_(asked.cells.whole(scale))

    def _steps(self, asked: Asked) -> tuple[Tensor, Tensor, Tensor]:
        most = 2**asked.bits - 1
        bounds = _bounds(asked)
        low, high = bounds.low.clamp(max=0), bounds.high.clamp(min=0)
        scale = _positive((high - low) / most)
        zero = (-low / scale).round().clamp(0, most)
        steps = (asked.values / asked.cells.whole(scale)).round_().add_(asked.cells.whole(zero)).clamp_(0, most)
        return steps, scale, zero


class Interval(Even):
    """w = low + s q with q in [0, 2^b - 1] and s = (high - low) / (2^b - 1): both ends are exact, zero need not be.

    The quantizer of Q-BERT (Shen et al. 2020, arXiv:1909.05840, §3) and FullyQT.
    """

    widths: ClassVar[range] = range(1, 9)
    keeps_zero: ClassVar[bool] = False

    def code(self, asked: Asked) -> Coded:
        """See `Grid`."""
        steps, scale, low = self._steps(asked)
        return _coded(asked, "interval", steps, scale=scale, low=low)

    def rounded(self, asked: Asked) -> Tensor:
        """See `Grid`."""
        steps, scale, low = self._steps(asked)
        return steps.mul_(asked.cells.whole(scale)).add_(asked.cells.whole(low))

    def _steps(self, asked: Asked) -> tuple[Tensor, Tensor, Tensor]:
        most = 2**asked.bits - 1
        bounds = _bounds(asked)
        scale = _positive((bounds.high - bounds.low) / most)
        steps = (asked.values - asked.cells.whole(bounds.low)).div_(asked.cells.whole(scale)).round_().clamp_(0, most)
        return steps, scale, bounds.low


def _signed(asked: Asked, scale: Tensor) -> Tensor:
    """The nearest whole number of steps, at most 2^(b-1) - 1 to each side."""
    largest = 2 ** (asked.bits - 1) - 1
    return (asked.values / asked.cells.whole(scale)).round_().clamp_(-largest, largest)


def _bounds(asked: Asked) -> Bounds:
    if asked.bounds is None:
        raise MethodError("quantize: a grid of even steps needs the bounds of each cell")
    return asked.bounds


def _reach(asked: Asked) -> Tensor:
    bounds = _bounds(asked)
    return bounds.low.abs().maximum(bounds.high.abs())


def _positive(scale: Tensor) -> Tensor:
    """The scale, 1 where it would be 0."""
    return scale.masked_fill(scale == 0, 1.0)


def _complement(steps: Tensor, bits: int) -> Tensor:
    """Signed steps in two's complement."""
    codes: Tensor = steps.int() & (2**bits - 1)
    return codes


def _coded(asked: Asked, form: str, codes: Tensor, **side: Tensor) -> Coded:
    import torch

    from bench.layers.coding import Coding

    coding = Coding(form=form, bits=asked.bits, cells=asked.cells)  # type: ignore[arg-type]
    stored = {name: side[name].to(dtype) for name, (_, dtype) in coding.shapes().items()}
    return Coded(coding=coding, codes=codes.to(torch.uint8), side=stored)


GRIDS.register("symmetric")(Symmetric)
GRIDS.register("power-of-two")(PowerOfTwo)
GRIDS.register("affine")(Affine)
GRIDS.register("interval")(Interval)
