"""Where MobileBERT keeps its layers, its stacked feed-forward parts and its bottlenecks."""

from __future__ import annotations

from typing import ClassVar, cast

from torch import nn
from typing_extensions import override

from bench.models.adapter import ADAPTERS, Adapter, Part, Role


@ADAPTERS.register("mobilebert")
class MobileBertAdapter(Adapter):
    """MobileBERT (Sun et al. 2020, arXiv:2004.02984, §3.2): narrow blocks between wide hidden states.

    A layer narrows the states (`bottleneck_in` for the residual and the feed-forward parts, `bottleneck_keys` for
    queries and keys; values read the wide states), runs one attention and several feed-forward parts at the narrow
    width, and widens the result (`bottleneck_out`). The last feed-forward part is the layer's own block, those before
    it are blocks inside the layer. The masked head multiplies by parts of two tables at once and never calls its
    output layer, so that it has no matrix with the role "softmax".
    """

    model_types: ClassVar[tuple[str, ...]] = ("mobilebert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.layer"}
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
        "bottleneck_in": "bottleneck.input.dense",
        "bottleneck_keys": "bottleneck.attention.dense",
        "bottleneck_out": "output.bottleneck.dense",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ),
        "ffn": ("intermediate.dense", "output.dense"),
        "bottleneck": ("bottleneck.input.dense", "bottleneck.attention.dense", "output.bottleneck.dense"),
        "norms": (
            "attention.output.LayerNorm",
            "output.LayerNorm",
            "bottleneck.input.LayerNorm",
            "bottleneck.attention.LayerNorm",
            "output.bottleneck.LayerNorm",
        ),
    }
    activation: ClassVar[str | None] = "intermediate.intermediate_act_fn"

    @override
    def output_projection(self, model: nn.Module) -> nn.Module | None:
        """None: the masked head reads its output layer's tensors and never runs it."""
        return None

    @override
    def head_width(self, model: nn.Module, stack: str | None = None) -> int:
        """Heads divide the narrow width."""
        return int(model.config.true_hidden_size) // self.heads(model)  # type: ignore[union-attr, arg-type]

    @override
    def _inner(self, layer: nn.Module) -> list[tuple[str, nn.Module]]:
        stacked = cast(nn.ModuleList, getattr(layer, "ffn", nn.ModuleList()))
        return [("", layer), *((f"ffn.{index}.", block) for index, block in enumerate(stacked))]
