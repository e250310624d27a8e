"""Where Marian (Junczys-Dowmunt et al. 2018, arXiv:1804.00344), a Transformer for translation, keeps its modules."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from bench.models.adapter import ADAPTERS, Adapter, Part, Role


@ADAPTERS.register("marian")
class MarianAdapter(Adapter):
    """Marian: post-norm encoder and decoder layers, sinusoidal positions, one embedding table for all three places."""

    model_types: ClassVar[tuple[str, ...]] = ("marian",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.layers", "decoder": "decoder.layers"}
    depths: ClassVar[dict[str, str]] = {"encoder": "encoder_layers", "decoder": "decoder_layers"}
    roles: ClassVar[dict[Role, str]] = {
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "attention_output": "self_attn.out_proj",
        "ffn_in": "fc1",
        "ffn_out": "fc2",
        "cross_query": "encoder_attn.q_proj",
        "cross_key": "encoder_attn.k_proj",
        "cross_value": "encoder_attn.v_proj",
        "cross_output": "encoder_attn.out_proj",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
        "cross_attention": (
            "encoder_attn.q_proj",
            "encoder_attn.k_proj",
            "encoder_attn.v_proj",
            "encoder_attn.out_proj",
        ),
        "ffn": ("fc1", "fc2"),
        "norms": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
    }
    activation: ClassVar[str | None] = "activation_fn"

    def head_width(self, model: nn.Module, stack: str | None = None) -> int:
        """Encoder and decoder are of one width, each with a number of heads of its own."""
        heads = getattr(model.config, f"{self._stack(model, stack)}_attention_heads")
        return self.hidden_size(model) // int(heads)
