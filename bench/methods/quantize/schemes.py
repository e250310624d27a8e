"""The quantization schemes: integer products, weights alone, and every operand of every product."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice
from bench.methods.base.method import ROLES
from bench.methods.quantize.ranges import MovingAverage, check_learned
from bench.methods.quantize.scheme import SCHEMES, Scheme
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from bench.methods.quantize.activations import Ends
    from bench.methods.quantize.allocation import Allocation
    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.work import Quantization

_INT8 = {"bits": 8, "grid": "symmetric", "granularity": "row", "range": "min-max", "allocation": "constant"}
_OPERANDS = {"activation_grid": "interval", "activation_span": "fixed", "activation_range": "moving-average"}


@SCHEMES.register("dynamic")
class DynamicInt8(Scheme):
    """Integer products with activations quantized per row at every call; needs no data.

    With a budget, the model is trained with numbers rounded as the kernel rounds them.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    @override
    def fits(self, method: Quantize) -> None:
        given = method.activation_range.called
        if given in ("moving-average", "learned"):
            raise ValueError(f"scheme 'dynamic' finds a range at each call, but '{given}' is fixed")
        _check_kernels(method)

    @override
    def apply(self, work: Quantization, allocation: Allocation) -> None:
        from bench.layers.sharing import replace_everywhere

        if work.training.budget:
            self._train(work)
        for name, linear in _linears(work).items():
            replace_everywhere(work.model, linear, _dynamic(linear, name))

    def _train(self, work: Quantization) -> None:
        from bench.methods.quantize.activations import DynamicInputs, multiplied
        from bench.methods.quantize.aware import trained
        from bench.methods.quantize.site import find_sites

        sites = find_sites(work.model, work.targets)
        inputs = {linear: DynamicInputs() for linear in multiplied(sites).values()}
        trained(work, sites, {site.name: work.bits for site in sites}, inputs)


@SCHEMES.register("static")
class StaticInt8(Scheme):
    """Integer products with one fixed activation range per layer, found by `activation_range` (Jacob et al. §2.1).

    The range of the training examples also holds at test time: a larger activation is clipped to it. With a budget, the
    model is trained with numbers rounded as the kernel rounds them.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    @override
    def fits(self, method: Quantize) -> None:
        if method.activation_range.learned:
            raise ValueError(
                "scheme 'static' uses a zero point, but activation_range 'learned' is symmetric. Give scheme 'weights'"
            )
        _check_kernels(method)

    @override
    def apply(self, work: Quantization, allocation: Allocation) -> None:
        """Raises `MethodError` for a factorized layer, whose inner activation no hook can see."""
        from torch import nn

        from bench.layers.factorized import FactorizedLinear
        from bench.layers.int8_static import StaticInt8Linear
        from bench.layers.sharing import replace_everywhere

        found = _linears(work)
        for name, linear in found.items():
            if isinstance(linear, FactorizedLinear):
                raise MethodError(
                    f"quantize: {name} is factorized, so its inner activations have no calibrated range. "
                    "Give scheme 'dynamic'."
                )
            if type(linear) is not nn.Linear:
                raise _no_integer_form(name, linear)
        ends = self._ends(work, found)
        for name, linear in found.items():
            layer = StaticInt8Linear.from_ranges(linear.weight, linear.bias, *ends[name])  # type: ignore[arg-type]
            replace_everywhere(work.model, linear, layer)

    def _ends(self, work: Quantization, linears: Mapping[str, nn.Module]) -> dict[str, Ends]:
        """The range of each layer's inputs, after training if there is a budget."""
        from bench.methods.quantize.activations import StaticInputs, activation_bounds, ends_of
        from bench.methods.quantize.aware import trained
        from bench.methods.quantize.site import find_sites

        if not work.training.budget:
            return activation_bounds(linears, work)
        chosen = work.activation_range
        if isinstance(chosen, MovingAverage):
            momentum = chosen.momentum
            inputs = {linear: StaticInputs(None, momentum=momentum) for linear in linears.values()}
        else:
            given = activation_bounds(linears, work)
            inputs = {linear: StaticInputs(given[name], momentum=0.0) for name, linear in linears.items()}
        sites = find_sites(work.model, work.targets)
        trained(work, sites, {site.name: work.bits for site in sites}, inputs)
        return {name: ends_of(inputs[linear].stored()) for name, linear in linears.items()}


class RoundedInputs(Scheme):
    """A scheme with float products that rounds their inputs to `activation_bits` if given."""

    activation_bits: int | None = Field(
        None, ge=2, le=8, description="bits of the rounded inputs; None leaves them in float"
    )
    activation_grid: Literal["symmetric", "affine", "interval"] = Field(
        "symmetric",
        description="symmetric about 0, affine with a zero point, or even steps between the ends of the range",
    )
    activation_span: Literal["call", "token", "fixed"] = Field(
        "call", description="what has its own activation range, or one fixed range"
    )

    @override
    def fits(self, method: Quantize) -> None:
        check_learned("activation_range", method.activation_range, grid=self.activation_grid, budget=method.budget)


@SCHEMES.register("weights")
class WeightOnly(RoundedInputs):
    """Packed weights that are turned into floats a tile at a time: bytes are saved on disk and in memory, not time.

    With `activation_bits` their inputs are rounded too, and the products stay in float.
    """

    rest: bool = Field(False, description="also quantize matrices and tables without a role: pooler, head, positions")
    split: bool = Field(
        False, description="split ternary weights into two binary matrices during training (BinaryBERT)"
    )
    ternary_share: float = Field(0.5, gt=0, lt=1, description="split: share of the budget before the split")

    @override
    def fits(self, method: Quantize) -> None:
        chosen = method.activation_range
        if self.activation_bits is None:
            if isinstance(chosen, MovingAverage) or chosen.learned or self.activation_span != "call":
                raise ValueError("activation ranges are given without activation_bits. Give activation_bits")
        elif self.activation_span != "fixed" and chosen.called not in ("min-max", "clip"):
            raise ValueError(
                f"activation_range '{chosen.called}' is fixed after calibration, so it needs activation_span 'fixed'; "
                f"found '{self.activation_span}'"
            )
        if self.split and (method.grid.called, method.allocation.called) != ("ternary", "constant"):
            raise ValueError("split needs scheme 'weights', grid 'ternary' and allocation 'constant'")
        super().fits(method)

    @override
    def apply(self, work: Quantization, allocation: Allocation) -> None:
        from bench.methods.quantize.activations import rounded_inputs
        from bench.methods.quantize.aware import trained
        from bench.methods.quantize.site import find_sites, other_sites
        from bench.methods.quantize.splitting import BINARY_BITS, trained_in_halves

        sites = find_sites(work.model, work.targets)
        sites += other_sites(work.model, sites) if self.rest else []
        bits = allocation.bits(sites, work)
        inputs = rounded_inputs(
            work, sites, bits=self.activation_bits, grid=self.activation_grid, span=self.activation_span
        )
        if self.split:
            sites, aware = trained_in_halves(work, sites, bits, inputs, ternary_share=self.ternary_share)
            bits = {site.name: BINARY_BITS for site in sites}
        else:
            aware = trained(work, sites, bits, inputs)
        for number, site in enumerate(sites, start=1):
            rounding = None if site.multiplies is None else aware.inputs.get(site.multiplies)
            site.put(work.model, aware.coded, None if rounding is None else rounding.stored())
            work.lab.progress(f"{bits[site.name]} bits for {site.name}", number / len(sites))


@SCHEMES.register("operands")
class AllOperands(RoundedInputs):
    """Packed weights, and fixed roundings before every product and around the divisions of softmax and layer norm.

    All matrices of the model are coded, its tables and its head with them; biases stay. If no budget trains it, ranges
    are those of the first `examples` training examples. Products stay in float, so bytes are saved and no time.
    """

    delay: float = Field(0.0, ge=0, lt=1, description="share of the training before rounding starts")

    @override
    def fits(self, method: Quantize) -> None:
        if method.targets != ROLES:
            raise ValueError("scheme 'operands' quantizes every matrix of the model: leave targets out")
        found = {
            "activation_grid": self.activation_grid,
            "activation_span": self.activation_span,
            "activation_range": method.activation_range.called,
        }
        if self.activation_bits is None or found != _OPERANDS:
            told = ", ".join(f"{name} = '{value}'" for name, value in _OPERANDS.items())
            raise ValueError(f"scheme 'operands' rounds activations in one way only: give activation_bits, {told}")

    @override
    def apply(self, work: Quantization, allocation: Allocation) -> None:
        """Raises `MethodError` for a product that cannot be reached."""
        from bench.methods.quantize.operands import every_site, operand_training, refuse_unrounded

        if self.activation_bits is None:
            raise MethodError("quantize: scheme 'operands' without activation_bits")
        sites = every_site(work)
        bits = allocation.bits(sites, work)
        aware = operand_training(work, sites, bits, activation_bits=self.activation_bits, delay=self.delay)
        aware.operands.settle()
        for number, site in enumerate(sites, start=1):
            rounding = None if site.multiplies is None else aware.operands.inputs[site.multiplies].stored()
            site.put(work.model, aware.coded, rounding)
            work.lab.progress(f"{bits[site.name]} bits for {site.name}", number / len(sites))
        refuse_unrounded(work)


def _check_kernels(method: Quantize) -> None:
    """Raise `ValueError` for what integer kernels do not take: their weights are symmetric, with one scale per row."""
    scheme = method.scheme.called
    for name, only in _INT8.items():
        value = getattr(method, name)
        found = value.called if isinstance(value, Choice) else value
        if found != only:
            raise ValueError(
                f"scheme '{scheme}' runs integer kernels, which need {name} = {only!r}; found {found!r}. Give scheme "
                f"'weights' for other choices"
            )
    if "embedding" in method.targets or method.role_bits:
        raise ValueError(
            f"scheme '{scheme}' quantizes linear layers to 8 bits only; give scheme 'weights' for tables or other bits"
        )


def _linears(work: Quantization) -> dict[str, nn.Module]:
    """The linear modules of the targets by name, each stored one once."""
    from bench.models.adapter import adapter_for

    roles = [target for target in work.targets if target != "embedding"]
    return adapter_for(work.model).linears(work.model, roles)


def _dynamic(linear: nn.Module, name: str) -> nn.Module:
    """The integer form of a dense layer, or of both factors of a factorized one."""
    from torch import nn

    from bench.layers.composite import ProductLinear
    from bench.layers.factorized import FactorizedLinear
    from bench.layers.int8 import Int8Linear

    if isinstance(linear, FactorizedLinear):
        first, second = Int8Linear.from_float(linear.first, None), Int8Linear.from_float(linear.second, linear.bias)
        return ProductLinear(first, second)
    if not isinstance(linear, nn.Linear):
        raise _no_integer_form(name, linear)
    return Int8Linear.from_float(linear.weight, linear.bias)


def _no_integer_form(name: str, module: nn.Module) -> MethodError:
    """The refusal of a layer that is no longer in float."""
    return MethodError(
        f"quantize: {name} is a {type(module).__name__}, which has no integer form. Quantize float layers, and only "
        f"once."
    )
