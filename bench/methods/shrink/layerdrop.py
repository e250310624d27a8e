"""Training under which a model bears the loss of whole layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bench.base.errors import MethodError
from bench.methods.base.depth import refuse_lost_work
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.trained import TrainedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.models.adapter import Adapter


@METHODS.register("layerdrop")
class LayerDrop(TrainedMethod):
    """Train with layers skipped at random, so that layers can be removed afterwards (Fan et al. 2020).

    Each layer of every stack is skipped in a step with probability `rate`, independently of the others; the residual
    connection stays. The result has the given structure and runs all layers: only the stage `shrink` with
    `depth` saves something, without further training. arXiv:1909.11556, §3.2.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset()

    rate: float = Field(0.2, ge=0, lt=1, description="probability that a layer is skipped in a step")
    start: Literal["given", "fresh", "source"] = Field(
        "given", description="start from the given weights, random weights, or the pretrained weights"
    )
    budget: float = Field(1.0, gt=0, le=100, description="training epochs as a share of the suite's")

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for models in which a layer cannot be left out."""
        import torch

        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model, replace_module
        from bench.training.hooks import DroppingList

        adapter = adapter_for(model)
        _refuse_others(model, adapter)
        if self.start == "given":
            trained = copy_model(model)
        else:
            refuse_lost_work(model, lab.reference, where=f"layerdrop: start = '{self.start}'")
            trained = lab.fresh(len(adapter.layers(model)), self.start == "source")
        draws = torch.Generator().manual_seed(lab.seed)
        stacks = {stack: adapter.layers(trained, stack) for stack in adapter.stacks(trained)}
        for stack, layers in stacks.items():
            dropping = DroppingList(layers, rate=self.rate, draws=draws)
            replace_module(trained, adapter.stack_name(trained, stack), dropping)
        self.tune(trained, lab)
        for stack, layers in stacks.items():
            adapter.set_layers(trained, layers, stack)
        return trained.eval()


def _refuse_others(model: nn.Module, adapter: Adapter) -> None:
    """Raise `MethodError` if the architecture does not loop over a list of layers with one hidden state."""
    from bench.layers.layer import StoredStack

    name = type(model).__name__
    if not adapter.iterates:
        raise MethodError(
            f"layerdrop: {name} cannot skip layers: only a Transformer that loops over a list of layers can. LSTM "
            f"layers have no residual connection, and ALBERT loops over one stored layer."
        )
    if any(
        isinstance(model.get_submodule(adapter.stack_name(model, stack)), StoredStack)
        for stack in adapter.stacks(model)
    ):
        raise MethodError(f"layerdrop: the layers of this {name} already halt adaptively; use layerdrop before halt")
