"""8-bit integers with activation ranges of each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.methods.quantize.mode import MODES, Mode
from bench.methods.quantize.modes.integers import check_kernels, linears, no_form
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.work import Work


class Dynamic(Mode):
    """Integer products whose activations are quantized row by row at every call; no data are needed.

    With a budget the model trains on numbers rounded as the kernel rounds them.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    def fits(self, method: Quantize) -> None:
        """See `Choice`."""
        if method.activation_range in ("moving-average", "learned"):
            raise ValueError(f"scheme 'dynamic' finds a range at each call, and '{method.activation_range}' stays")
        check_kernels(method)

    def apply(self, work: Work) -> None:
        """See `Mode`."""
        from bench.layers.replacing import replace_everywhere

        if work.method.budget:
            _train(work)
        for name, linear in linears(work).items():
            replace_everywhere(work.model, linear, _integer(linear, name))


def _train(work: Work) -> None:
    from bench.methods.quantize.integer_inputs import DynamicInputs
    from bench.methods.quantize.site import find_sites
    from bench.methods.quantize.training import multiplied, trained

    sites = find_sites(work.model, work.method.targets)
    inputs = {linear: DynamicInputs() for linear in multiplied(sites).values()}
    trained(work, sites, {site.name: work.method.bits for site in sites}, inputs)


def _integer(linear: nn.Module, name: str) -> nn.Module:
    """The integer form of a dense layer, or of both factors of a factorized one."""
    from torch import nn

    from bench.layers.composite import ProductLinear
    from bench.layers.factorized import FactorizedLinear
    from bench.layers.int8 import Int8Linear

    if isinstance(linear, FactorizedLinear):
        first, second = Int8Linear.from_float(linear.first, None), Int8Linear.from_float(linear.second, linear.bias)
        return ProductLinear(first, second)
    if not isinstance(linear, nn.Linear):
        raise no_form(name, linear)
    return Int8Linear.from_float(linear.weight, linear.bias)


MODES.register("dynamic")(Dynamic)
