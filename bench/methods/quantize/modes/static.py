"""8-bit integers with activation ranges found beforehand on training examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from bench.methods.quantize.mode import MODES, Mode
from bench.methods.quantize.modes.integers import check_kernels, linears, no_form
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.quantize.activations import Ends
    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.work import Work


class Static(Mode):
    """Integer products whose activations have one fixed range a layer, found by `activation_range` (Jacob et al. §2.1).

    The range of the training examples also holds at test time: a larger activation is clipped to it. With a budget the
    model trains on numbers rounded as the kernel rounds them.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    def fits(self, method: Quantize) -> None:
        """See `Choice`."""
        if method.activation_range == "learned":
            raise ValueError(
                "scheme 'static' has a zero point, and activation_range 'learned' is symmetric. Give scheme 'weights'"
            )
        check_kernels(method)

    def apply(self, work: Work) -> None:
        """See `Mode`; raises `MethodError` for a factorized layer, whose inner activation no hook can see."""
        from torch import nn

        from bench.base.errors import MethodError
        from bench.layers.factorized import FactorizedLinear
        from bench.layers.int8_static import StaticInt8Linear
        from bench.layers.replacing import replace_everywhere

        found = linears(work)
        for name, linear in found.items():
            if isinstance(linear, FactorizedLinear):
                raise MethodError(
                    f"quantize: {name} is factorized, and its inner activations have no calibrated range. "
                    "Give scheme 'dynamic'."
                )
            if type(linear) is not nn.Linear:
                raise no_form(name, linear)
        bounds = _bounds(work, found)
        for name, linear in found.items():
            layer = StaticInt8Linear.from_ranges(linear.weight, linear.bias, *bounds[name])  # type: ignore[arg-type]
            replace_everywhere(work.model, linear, layer)


def _bounds(work: Work, linears: Mapping[str, nn.Module]) -> dict[str, Ends]:
    """The range of each layer's inputs, after training where there is a budget."""
    from bench.methods.quantize.activations import activation_bounds, ends_of
    from bench.methods.quantize.integer_inputs import StaticInputs
    from bench.methods.quantize.ranges.moving_average import MovingAverage
    from bench.methods.quantize.site import find_sites
    from bench.methods.quantize.training import trained

    method = work.method
    if not method.budget:
        return activation_bounds(linears, work)
    chosen = work.activation_range
    if isinstance(chosen, MovingAverage):
        momentum = chosen.activation_momentum
        inputs = {linear: StaticInputs(None, momentum=momentum) for linear in linears.values()}
    else:
        given = activation_bounds(linears, work)
        inputs = {linear: StaticInputs(given[name], momentum=0.0) for name, linear in linears.items()}
    sites = find_sites(work.model, method.targets)
    trained(work, sites, {site.name: method.bits for site in sites}, inputs)
    return {name: ends_of(inputs[linear].stored()) for name, linear in linears.items()}


MODES.register("static")(Static)
