"""Where DistilBERT (Sanh et al. 2019, arXiv:1910.01108) keeps its layers and linear modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from bench.models.adapter import ADAPTERS, Adapter, Part, Role


@ADAPTERS.register("distilbert")
class DistilBertAdapter(Adapter):
    """DistilBERT: layers in `transformer.layer`; no token types and no pooler."""

    model_types: ClassVar[tuple[str, ...]] = ("distilbert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "transformer.layer"}
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attention_output": "attention.out_lin",
        "ffn_in": "ffn.lin1",
        "ffn_out": "ffn.lin2",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        "ffn": ("ffn.lin1", "ffn.lin2"),
        "norms": ("sa_layer_norm", "output_layer_norm"),
    }
    activation: ClassVar[str | None] = "ffn.activation"

    def _place(self, model: nn.Module, layers: Sequence[nn.Module], stack: str) -> None:
        super()._place(model, layers, stack)
        parent = self.stack_name(model, stack).rpartition(".")[0]
        model.get_submodule(parent).n_layers = len(layers)  # type: ignore[assignment]
