"""Adaptive depth: each position of the input runs as many layers as it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.trained import TrainedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.models.adapter import Adapter
    from bench.training.objective import Term

_START = 0.02  # standard deviation of the halting weights, BERT's own for new matrices


@METHODS.register("halt")
class Halt(TrainedMethod):
    """Adaptive halting of every encoder position (Universal Transformer: Dehghani et al. 2019, arXiv:1807.03819).

    Over a stack of one shared layer this is the Universal Transformer, over any other stack adaptive computation time
    (Graves 2016). See `HaltingStack` for the equations. Computation falls with the mean number of steps; a batch runs
    until its last position halts. Parameters grow by one vector.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"macs", "time"})

    steps: int | None = Field(
        None, ge=1, le=1000, description="most steps; None is the depth; another number needs one shared layer"
    )
    adaptive: bool = Field(True, description="if false, every position runs every step")
    epsilon: float = Field(0.01, gt=0, lt=1, description="a position halts when its probabilities exceed 1 - epsilon")
    ponder: float = Field(0.01, ge=0, le=100, description="weight of the ponder cost in the training objective")
    bias: float = Field(1.0, ge=-20, le=20, description="initial bias of the halting unit; a higher bias halts sooner")
    coordinates: bool = Field(True, description="add sinusoids of position and step before each step")

    @override
    def seeded(self) -> bool:
        """True also without a budget: the halting weights are drawn."""
        return True

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a model that cannot halt.

        It has more than an encoder, halts already, does not loop over its list of layers, or is to take another number
        of steps over layers that are not one.
        """
        import torch

        from bench.layers.halting import HaltingStack
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model, replace_module

        halting = copy_model(model)
        adapter = adapter_for(halting)
        self._set_steps(halting, adapter)
        width = adapter.hidden_size(halting)
        stack = HaltingStack(width, epsilon=self.epsilon, adaptive=self.adaptive, coordinates=self.coordinates)
        draws = torch.Generator().manual_seed(lab.seed)
        with torch.no_grad():
            stack.weight.copy_(torch.randn(1, width, generator=draws) * _START)
            stack.bias.fill_(self.bias)
        layers = adapter.layers(halting)
        stack.adopt(layers).to(next(halting.parameters()).device)
        replace_module(halting, adapter.stack_name(halting), stack)
        self.tune(halting.eval(), lab, terms=self._price())
        return halting

    def _price(self) -> list[tuple[float, Term]]:
        """The ponder cost, if positions may halt."""
        from bench.training.hooks import PonderTerm

        return [(self.ponder, PonderTerm())] if self.adaptive and self.ponder else []

    def _set_steps(self, model: nn.Module, adapter: Adapter) -> None:
        """Make the stack as deep as there may be steps, or say why it cannot halt."""
        from bench.layers.layer import StoredStack

        name = type(model).__name__
        if adapter.stacks(model) != ("encoder",) or not adapter.takes_stack(model.config):
            raise MethodError(
                f"halt: {name} cannot halt: only an encoder that loops over a list of layers can. A decoder's "
                f"key-value cache needs every step of every position, ALBERT and LSTMs run their layers in their own "
                f"loops, and ModernBERT and a DeBERTa with a convolution give their layers different inputs."
            )
        if isinstance(model.get_submodule(adapter.stack_name(model)), StoredStack):
            raise MethodError(f"halt: the layers of this {name} already halt; halt once")
        layers = adapter.layers(model)
        if self.steps is None or self.steps == len(layers):
            return
        if any(layer is not layers[0] for layer in layers):
            raise MethodError(
                f"halt: steps is {self.steps}, but the given model has {len(layers)} different layers. Leave steps "
                f"out, or share all layers first (method share, map all)."
            )
        adapter.set_layers(model, [layers[0]] * self.steps)
