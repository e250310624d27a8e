"""8-bit integers with activation ranges found beforehand on training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.methods.quantizing.mode import MODES, Mode
from bench.methods.quantizing.modes.integers import linears, no_form, refused
from bench.saving import Saving

if TYPE_CHECKING:
    from bench.methods.quantize import Quantize
    from bench.methods.quantizing.work import Work


class Static(Mode):
    """Integer products whose activations have one fixed range a layer, found by `activation_range` (Jacob et al. §2.1).

    The range of the training examples also holds at test time: a larger activation is clipped to it.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    def refuses(self, method: Quantize) -> str | None:
        """See `Mode`."""
        return refused(method)

    def apply(self, work: Work) -> None:
        """See `Mode`; raises `MethodError` for a factorized layer, whose inner activation no hook can see."""
        from torch import nn

        from bench.errors import MethodError
        from bench.layers.factorized import FactorizedLinear
        from bench.layers.int8_static import StaticInt8Linear
        from bench.layers.replacing import replace_everywhere
        from bench.methods.quantizing.activations import activation_bounds

        found = linears(work)
        for name, linear in found.items():
            if isinstance(linear, FactorizedLinear):
                raise MethodError(
                    f"quantize: {name} is factorized, and its inner activations have no calibrated range. "
                    "Give scheme 'dynamic'."
                )
            if type(linear) is not nn.Linear:
                raise no_form(name, linear)
        bounds = activation_bounds(found, work)
        for name, linear in found.items():
            layer = StaticInt8Linear.from_ranges(linear.weight, linear.bias, *bounds[name])  # type: ignore[arg-type]
            replace_everywhere(work.model, linear, layer)


MODES.register("static")(Static())
