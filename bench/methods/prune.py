"""Unstructured magnitude pruning with retraining of the survivors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bench.errors import MethodError
from bench.methods.method import METHODS, Lab
from bench.methods.tuned import GuidedMethod
from bench.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("prune")
class Prune(GuidedMethod):
    """Zero the encoder weights of smallest magnitude, then retrain the others (Han et al. 2015, arXiv:1506.02626).

    With several rounds the share that stays falls by the same factor in each, and every round retrains for an equal
    part of the budget. The zeros are unstructured: executed MACs stay as they were; `macs_effective`,
    `params_nonzero` and the artifact's size change.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    sparsity: float = Field(ge=0, lt=1, description="share of the encoder's linear weights to zero")
    scope: Literal["global", "layer"] = Field("global", description="rank all matrices together, or each by itself")
    rounds: int = Field(1, ge=1, le=100, description="prune-retrain rounds")
    budget: float = Field(1.0 / 3, ge=0, le=100, description="retraining epochs as a share of the suite's; 0 is none")

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """See `Method`; raises `MethodError` where weights are no longer floating point."""
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model
        from bench.training.masks import MaskHook, apply_masks, magnitude_masks

        pruned = copy_model(model)
        weights = _weights(adapter_for(pruned).linears(pruned))
        for done in range(1, self.rounds + 1):
            sparsity = 1.0 - (1.0 - self.sparsity) ** (done / self.rounds)
            masks = magnitude_masks(weights, sparsity=sparsity, scope=self.scope)
            apply_masks(weights, masks)
            self.tune(pruned, lab, share=1.0 / self.rounds, hooks=[MaskHook(weights, masks)])
        return pruned


def _weights(linears: dict[str, nn.Module]) -> dict[str, nn.Parameter]:
    """Every weight matrix of the modules, by qualified name; a factorized layer has two."""
    found = {
        f"{name}.{inner}": parameter
        for name, module in linears.items()
        for inner, parameter in module.named_parameters()
        if parameter.dim() == 2
    }
    for name, module in linears.items():
        if not any(key.startswith(f"{name}.") for key in found):
            raise MethodError(
                f"prune: {name} is a {type(module).__name__} without floating-point weights. Prune before quantizing."
            )
    return found
