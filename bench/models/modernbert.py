"""Where ModernBERT keeps its layers, with queries, keys and values in one matrix and a gated MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn
from typing_extensions import override

from bench.models.adapter import ADAPTERS, Adapter, Part, Role


@ADAPTERS.register("modernbert")
class ModernBertAdapter(Adapter):
    """ModernBERT (Warner et al. 2024, arXiv:2412.13663): pre-norm, rotary positions, GeGLU, local and global attention.

    A layer is local or global by itself, and stays so wherever it runs; the first layer has no norm before its
    attention. `layer_types` has one entry per layer, so that a model of another depth cannot be made by sizes alone. No
    exit or halting stack can take the loop's place, which gives each layer the mask and the rotation of its kind.
    """

    model_types: ClassVar[tuple[str, ...]] = ("modernbert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "layers"}
    roles: ClassVar[dict[Role, str]] = {
        "query": "attn.Wqkv",
        "key": "attn.Wqkv",
        "value": "attn.Wqkv",
        "attention_output": "attn.Wo",
        "ffn_in": "mlp.Wi",
        "ffn_out": "mlp.Wo",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("attn.Wqkv", "attn.Wo"),
        "ffn": ("mlp.Wi", "mlp.Wo"),
        "norms": ("attn_norm", "mlp_norm"),
    }
    activation: ClassVar[str | None] = "mlp.act"
    post_norm: ClassVar[bool] = False
    positions_in_attention: ClassVar[bool] = True
    fused: ClassVar[tuple[tuple[Role, ...], ...]] = (("query", "key", "value"),)
    gated: ClassVar[bool] = True

    @override
    def takes_stack(self, config: Any) -> bool:
        return False

    @override
    def _place(self, model: nn.Module, layers: Sequence[nn.Module], stack: str) -> None:
        super()._place(model, layers, stack)
        config: Any = model.config
        config.layer_types = [layer.attention_type for layer in layers]
        config.num_hidden_layers = len(layers)
