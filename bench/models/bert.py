"""Where BERT (Devlin et al. 2019, arXiv:1810.04805) keeps its layers and linear modules."""

from __future__ import annotations

from typing import ClassVar

from bench.models.adapter import ADAPTERS, Adapter, Part, Role


@ADAPTERS.register("bert")
class BertAdapter(Adapter):
    """BERT: post-norm layers in `encoder.layer`, run from first to last."""

    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.layer"}
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ),
        "cross_attention": (
            "crossattention.self.query",
            "crossattention.self.key",
            "crossattention.self.value",
            "crossattention.output.dense",
        ),
        "ffn": ("intermediate.dense", "output.dense"),
        "norms": ("attention.output.LayerNorm", "crossattention.output.LayerNorm", "output.LayerNorm"),
    }
    activation: ClassVar[str | None] = "intermediate.intermediate_act_fn"
