"""Rounding every operand of a product or a division: where the roundings stand, while they learn and afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.layers.input_rounding import InputGrid, InputRounding
from bench.layers.layer import StoredModule
from bench.layers.replacing import replace_everywhere
from bench.layers.rounded import IMPLEMENTATION, PLACE, AttentionRounding, RoundedNorm, register_attention
from bench.methods.quantize.aware import AwareTraining
from bench.methods.quantize.input_ranges import MovingInputs
from bench.models.adapter import adapter_for

if TYPE_CHECKING:
    from bench.methods.quantize.latent import Place
    from bench.models.roles import Role
    from bench.training.hooks import TrainState

_ATTENTIONS: tuple[Role, ...] = ("query", "cross_query")


class FollowedInputs(MovingInputs):
    """A range that follows what comes by while `follows`, and rounds it where `rounds`, by the range so far."""

    def __init__(self, bits: int, grid: InputGrid, *, momentum: float) -> None:
        super().__init__(bits, grid, momentum=momentum)
        self.follows = False
        self.rounds = True

    def forward(self, values: Tensor) -> Tensor:
        """See `InputRounding`."""
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

    Raises `MethodError` where an attention does not run through transformers' interface.
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
        """Fix every range inside attentions and norms; raises `MethodError` where one saw nothing."""
        for host in self._hosts:
            for name, child in list(host.named_children()):
                if isinstance(child, FollowedInputs):
                    host.add_module(name, child.stored())
            if isinstance(host, RoundedNorm):
                host.settle()


class OperandTraining(AwareTraining):
    """Rounds weights and operands from a share of the training on; ranges follow the operands from its beginning.

    Args:
        places: the matrices.
        operands: of the model that trains.
        delay: the share of the steps before anything is rounded.
    """

    def __init__(self, places: Sequence[Place], operands: Operands, *, delay: float) -> None:
        super().__init__(places)
        self.operands = operands
        self._delay = delay

    def before_step(self, state: TrainState) -> None:
        """See `AwareTraining`."""
        begun = state.step >= self._delay * state.total_steps
        self.operands.switch(follows=True, rounds=begun)
        if begun:
            super().before_step(state)

    def on_evaluate(self, state: TrainState) -> None:
        """See `AwareTraining`; ranges stay as they are from now on."""
        super().on_evaluate(state)
        self.operands.switch(follows=False, rounds=True)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """See `AwareTraining`."""
        with super().listening(), self.operands.open():
            yield


def pruned(places: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Of the matrices with single zeros among other weights, which weights stay, by the matrix's name.

    Whole rows of zeros, such as the padding's, are no sign of pruning.
    """
    found = {}
    for name, parameter in places.items():
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
            f"quantize: {name} is a {type(attention).__name__}, whose products cannot be reached, and scheme "
            "'operands' rounds what every product is given. Quantize a Transformer with its own attentions."
        )
    made = AttentionRounding(bits).train(attention.training)
    attention.add_module(PLACE, made)
    return made


def _round_norms(model: nn.Module, bits: int) -> list[RoundedNorm]:
    made = []
    for norm in [module for module in model.modules() if type(module) is nn.LayerNorm]:
        rounded = RoundedNorm.in_place_of(norm, bits)
        replace_everywhere(model, norm, rounded)
        made.append(rounded)
    return made
