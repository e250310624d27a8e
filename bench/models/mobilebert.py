"""Where MobileBERT keeps its layers, feed-forward parts and bottlenecks, and one that is made beside another model."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple, cast

from torch import nn
from typing_extensions import override

from bench.base.errors import ModelError
from bench.models.adapter import ADAPTERS, Adapter, Part, Role, adapter_for
from bench.models.architectures import BertAdapter
from bench.models.bodies import beside
from bench.models.limits import limits_of


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
        **BertAdapter.roles,
        "bottleneck_in": "bottleneck.input.dense",
        "bottleneck_keys": "bottleneck.attention.dense",
        "bottleneck_out": "output.bottleneck.dense",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": BertAdapter.part_names["attention"],
        "ffn": BertAdapter.part_names["ffn"],
        "bottleneck": ("bottleneck.input.dense", "bottleneck.attention.dense", "output.bottleneck.dense"),
        "norms": (
            "attention.output.LayerNorm",
            "output.LayerNorm",
            "bottleneck.input.LayerNorm",
            "bottleneck.attention.LayerNorm",
            "output.bottleneck.LayerNorm",
        ),
    }
    activation: ClassVar[str | None] = BertAdapter.activation

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


class MobileBertSizes(NamedTuple):
    """The free sizes of a MobileBERT; None is what `mobilebert_beside` takes instead."""

    layers: int | None = None
    bottleneck: int | None = None
    heads: int | None = None
    stacked: int = 4
    embedding: int | None = None


def mobilebert_beside(like: nn.Module, sizes: MobileBertSizes, *, pad_id: int, seed: int) -> nn.Module:
    """A MobileBERT with fresh weights that reads the tokens of `like` and has a head like its own.

    Hidden states are as wide as those of `like`. By default it has as many layers and heads as `like`, a bottleneck of
    a quarter of the width, rounded up for the heads, and an embedding table as wide as the bottleneck; neurons are four
    times the bottleneck, as published.

    Args:
        like: an encoder.
        sizes: see above.
        pad_id: id of the padding token.
        seed: of the weights.

    Raises:
        ModelError: heads that do not divide the bottleneck, or a head that the architecture cannot have.
    """
    adapter, limits = adapter_for(like), limits_of(like.config)
    width = adapter.hidden_size(like)
    heads = sizes.heads or adapter.heads(like)
    narrow = sizes.bottleneck or heads * math.ceil(width / 4 / heads)
    if narrow % heads:
        raise ModelError(f"{heads} heads do not divide a bottleneck of {narrow}. Give a bottleneck that they divide.")
    settings = {
        "vocab_size": adapter.word_embedding(like).num_embeddings,
        "pad_token_id": pad_id,
        "type_vocab_size": max(2, limits.segments),
        "hidden_size": width,
        "num_hidden_layers": sizes.layers or adapter.depth(like),
        "intra_bottleneck_size": narrow,
        "num_attention_heads": heads,
        "num_feedforward_networks": sizes.stacked,
        "intermediate_size": 4 * narrow,
        "embedding_size": sizes.embedding or narrow,
    }
    if limits.positions is not None:
        settings["max_position_embeddings"] = limits.positions
    return beside(like, "mobilebert", settings, seed=seed)
