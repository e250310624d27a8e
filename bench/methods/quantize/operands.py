"""Rounding every operand of a product or a division: where the roundings stand, while they learn and afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.factorized import FactorizedEmbedding, FactorizedLinear
from bench.layers.input_rounding import InputGrid, InputRounding
from bench.layers.layer import StoredModule
from bench.layers.rounded import IMPLEMENTATION, PLACE, AttentionRounding, RoundedNorm, register_attention
from bench.layers.sharing import replace_everywhere
from bench.methods.base.listening import alike, run
from bench.methods.quantize.activations import MovingInputs
from bench.methods.quantize.aware import AwareTraining, train_aware
from bench.methods.quantize.grids import Affine
from bench.methods.quantize.products import executed_products
from bench.methods.quantize.ranges import MovingAverage
from bench.methods.quantize.site import EMBEDDING, WeightSite, find_sites, other_sites
from bench.models.adapter import adapter_for
from bench.training.masks import MaskHook

if TYPE_CHECKING:
    from bench.methods.quantize.work import Quantization, RoundedParameter
    from bench.models.roles import Role
    from bench.training.hooks import TrainState

_ATTENTIONS: tuple[Role, ...] = ("query", "cross_query")


class FollowedInputs(MovingInputs):
    """A range that follows what comes by while `follows`, and rounds it if `rounds`, by the range so far."""

    def __init__(self, bits: int, grid: InputGrid, *, momentum: float) -> None:
        super().__init__(bits, grid, momentum=momentum)
        self.follows = False
        self.rounds = True

    @override
    def forward(self, values: Tensor) -> Tensor:
        if self.follows:
            self.watch(values.detach())
        return super().forward(values) if self.rounds else values


class Operands:
    """The roundings of one model: those inside attentions and norms, which they join here, and those before linears.

    Attentions get an `AttentionRounding` beside their maps and run it in the place of their own products, layer norms
    become a `RoundedNorm`; what linears are given is rounded for as long as `open` is.

    Args:
        model: changed in place.
        linears: the linear modules.
        bits: width of a code of what is rounded.
        momentum: of the moving ranges.

    Raises `MethodError` if an attention does not run through transformers' interface.
    """

    def __init__(self, model: nn.Module, linears: Sequence[nn.Module], *, bits: int, momentum: float) -> None:
        self._hosts: list[nn.Module] = [*_round_attentions(model, bits), *_round_norms(model, bits)]
        self.inputs = {linear: FollowedInputs(bits, "interval", momentum=momentum) for linear in linears}
        self._all = list(self.inputs.values())
        for host in self._hosts:
            for name, child in list(host.named_children()):
                if isinstance(child, InputRounding) and child.span == "fixed":
                    followed = FollowedInputs(bits, child.grid, momentum=momentum).train(host.training)
                    host.add_module(name, followed)
                    self._all.append(followed)

    def switch(self, *, follows: bool, rounds: bool) -> None:
        """Whether ranges follow what comes by, and whether it is rounded, from now on."""
        for each in self._all:
            each.follows, each.rounds = follows, rounds

    @contextmanager
    def open(self) -> Iterator[None]:
        """Round what linears are given as long as the context is open."""

        def rounding(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            return (self.inputs[module](given[0]), *given[1:])

        handles = [linear.register_forward_pre_hook(rounding) for linear in self.inputs]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def settle(self) -> None:
        """Fix every range inside attentions and norms; raises `MethodError` if one saw nothing."""
        for host in self._hosts:
            for name, child in list(host.named_children()):
                if isinstance(child, FollowedInputs):
                    host.add_module(name, child.stored())
            if isinstance(host, RoundedNorm):
                host.settle()


class OperandTraining(AwareTraining):
    """Rounds weights and operands from a share of the training on; ranges follow the operands from its beginning.

    Args:
        matrices: the matrices.
        operands: of the model that trains.
        delay: the share of the steps before anything is rounded.
    """

    def __init__(self, matrices: Sequence[RoundedParameter], operands: Operands, *, delay: float) -> None:
        super().__init__(matrices)
        self.operands = operands
        self._delay = delay

    @override
    def before_step(self, state: TrainState) -> None:
        begun = state.step >= self._delay * state.total_steps
        self.operands.switch(follows=True, rounds=begun)
        if begun:
            super().before_step(state)

    @override
    def on_evaluate(self, state: TrainState) -> None:
        """Ranges stay as they are from now on."""
        super().on_evaluate(state)
        self.operands.switch(follows=False, rounds=True)

    @contextmanager
    @override
    def listening(self) -> Iterator[None]:
        with super().listening(), self.operands.open():
            yield


def pruned(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Of the matrices with single zeros among other weights, which weights stay, by the matrix's name.

    Whole rows of zeros, such as the padding's, do not indicate pruning.
    """
    found = {}
    for name, parameter in parameters.items():
        kept = parameter.detach() != 0
        if bool((kept.any(dim=1) & ~kept.all(dim=1)).any()):
            found[name] = kept
    return found


def _round_attentions(model: nn.Module, bits: int) -> list[AttentionRounding]:
    register_attention()
    made: dict[nn.Module, AttentionRounding] = {}
    for block in adapter_for(model).blocks(model):
        for role in _ATTENTIONS:
            if role in block.names:
                attention = block.module.get_submodule(block.names[role].rpartition(".")[0])
                if attention not in made:
                    made[attention] = _join(attention, f"{block.name}.{block.names[role]}".rpartition(".")[0], bits)
    configs = {id(each.config): each.config for each in made if each.config is not None}
    for config in (model.config, *configs.values()):
        config._attn_implementation = IMPLEMENTATION  # type: ignore[union-attr]
    return list(made.values())


def _join(attention: nn.Module, name: str, bits: int) -> AttentionRounding:
    if isinstance(attention, StoredModule) or getattr(attention, "config", None) is None:
        raise MethodError(
            f"quantize: {name} is a {type(attention).__name__}, whose products cannot be reached, but scheme "
            f"'operands' rounds the inputs of every product. Use a Transformer with its original attention."
        )
    made = AttentionRounding(bits).train(attention.training)
    attention.add_module(PLACE, made)
    return made


def _round_norms(model: nn.Module, bits: int) -> list[RoundedNorm]:
    made = []
    for norm in [module for module in model.modules() if type(module) is nn.LayerNorm]:
        if norm.bias is None:
            raise MethodError(
                f"quantize: {type(model).__name__} has norms without a bias, which scheme 'operands' has no form for. "
                f"Give scheme 'weights' or 'dynamic'."
            )
        rounded = RoundedNorm.in_place_of(norm, bits)
        replace_everywhere(model, norm, rounded)
        made.append(rounded)
    return made


def operand_training(
    work: Quantization, sites: Sequence[WeightSite], bits: Mapping[str, int], *, activation_bits: int, delay: float
) -> OperandTraining:
    """The roundings of a model that has trained behind them or, without a budget, has only seen examples.

    Raises `MethodError` for another range of activations than a moving average, or an operand that cannot be reached.
    """
    parameters = _parameters(sites)
    masks = pruned(parameters)
    chosen = work.activation_range
    if not isinstance(chosen, MovingAverage):
        raise MethodError("quantize: scheme 'operands' with another range than 'moving-average'")
    operands = Operands(
        work.model,
        [site.multiplies for site in sites if site.multiplies is not None],
        bits=activation_bits,
        momentum=chosen.momentum,
    )
    aware = OperandTraining(_rounded(work, sites, bits, masks), operands, delay=delay)
    if work.training.budget:
        train_aware(work.training, work.model, work.lab, aware, hooks=[MaskHook(parameters, masks)])
    else:
        _calibrate(work, operands)
    return aware


def every_site(work: Quantization) -> list[WeightSite]:
    """All matrices: those with a role, the vocabulary's tables, and the maps and tables that are neither."""
    model = work.model
    for name, module in model.named_modules():
        if isinstance(module, FactorizedLinear | FactorizedEmbedding):
            raise MethodError(f"quantize: {name} is factorized, so its inner activations have no range")
    sites = find_sites(model, [*adapter_for(model).roles_of(model), EMBEDDING])
    return [*sites, *other_sites(model, sites)]


def _parameters(sites: Sequence[WeightSite]) -> dict[str, nn.Parameter]:
    found = {name: weight for site in sites for name, weight in site.weights.items()}
    return {name: weight for name, weight in found.items() if isinstance(weight, nn.Parameter)}


def _rounded(
    work: Quantization, sites: Sequence[WeightSite], bits: Mapping[str, int], masks: Mapping[str, Tensor]
) -> list[RoundedParameter]:
    """The matrices as training sees them; one that was pruned gets a grid on which 0 is exact."""
    found = []
    for site in sites:
        for name, weight in _parameters([site]).items():
            how = work.rounded(site, weight, bits[site.name])
            if name in masks and not how.quantizer.grid.keeps_zero:
                how = dataclasses.replace(how, quantizer=dataclasses.replace(how.quantizer, grid=Affine()))
            found.append(how)
    return found


def _calibrate(work: Quantization, operands: Operands) -> None:
    """Let the ranges follow the first `examples` training examples, in floats."""
    operands.switch(follows=True, rounds=False)
    with operands.open():
        for batch in alike(work.lab, examples=work.examples):
            run(work.model, batch)
    operands.switch(follows=False, rounds=True)


def refuse_unrounded(work: Quantization) -> None:
    """Raise `MethodError` if a product of the finished model has an operand that went through no quantizer."""
    batch = alike(work.lab, examples=2)[0]
    for product in executed_products(work.model, lambda: run(work.model, batch)):
        if not all(product.rounded):
            raise MethodError(
                f"quantize: '{product.operator}' in '{product.module or type(work.model).__name__}' has an input that "
                f"was not quantized, but scheme 'operands' quantizes every input. Give scheme 'weights'."
            )
