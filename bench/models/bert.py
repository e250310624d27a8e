"""Where BERT (Devlin et al. 2019, arXiv:1810.04805) keeps its layers and linear modules."""

from __future__ import annotations

from typing import ClassVar

from bench.models.adapter import ADAPTERS, Adapter, Role


@ADAPTERS.register("bert")
class BertAdapter(Adapter):
    """BERT: post-norm layers in `encoder.layer`, run from first to last."""

    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    stack: ClassVar[str] = "encoder.layer"
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
    }
