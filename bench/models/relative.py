"""Where encoders whose attention knows the distance of two tokens keep their layers: MPNet and DeBERTa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn
from typing_extensions import override

from bench.layers.head_subset import DebertaHeads, MPNetHeads
from bench.models.adapter import ADAPTERS, Part, Role
from bench.models.architectures import BertAdapter
from bench.models.roles import POSITION_ROLES, AttentionPlaces, HeadNames, Size


@ADAPTERS.register("mpnet")
class MPNetAdapter(BertAdapter):
    """MPNet (Song et al. 2020, arXiv:2004.09297): one table of distances, beside the layers, adds to all their scores.

    Positions are counted from token 1 on, whatever token the configuration calls padding.
    """

    model_types: ClassVar[tuple[str, ...]] = ("mpnet",)
    roles: ClassVar[dict[Role, str]] = {
        **BertAdapter.roles,
        "query": "attention.attn.q",
        "key": "attention.attn.k",
        "value": "attention.attn.v",
        "attention_output": "attention.attn.o",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"),
        "ffn": BertAdapter.part_names["ffn"],
        "norms": ("attention.LayerNorm", "output.LayerNorm"),
    }
    classifier: ClassVar[HeadNames | None] = HeadNames("classifier.dense", "classifier.out_proj", "tanh")
    positions_in_attention: ClassVar[bool] = True
    attention_places: ClassVar[AttentionPlaces | None] = None  # scores hold distances, which a gap would change

    @override
    def skipped_id(self, config: Any) -> int | None:
        return 1

    @override
    def narrowed(self, attention: nn.Module, heads: Sequence[int]) -> nn.Module:
        return MPNetHeads.in_place_of(attention, heads)


@ADAPTERS.register("deberta-v2")
class DebertaV2Adapter(BertAdapter):
    """DeBERTa-v2 and v3 (He et al. 2021, arXiv:2006.03654 and arXiv:2111.09543): disentangled attention.

    One table of distances, beside the layers, is mapped to queries and keys in every layer: by the matrices of words
    (v2, v3), or by matrices of its own, `position_query` and `position_key`. The width of the pooler is set
    separately, so that a model of other sizes cannot be made by the sizes alone.
    """

    model_types: ClassVar[tuple[str, ...]] = ("deberta-v2",)
    sizes: ClassVar[dict[Size, str]] = {}
    roles: ClassVar[dict[Role, str]] = {
        **BertAdapter.roles,
        "query": "attention.self.query_proj",
        "key": "attention.self.key_proj",
        "value": "attention.self.value_proj",
        "position_query": "attention.self.pos_query_proj",
        "position_key": "attention.self.pos_key_proj",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": (
            "attention.self.query_proj",
            "attention.self.key_proj",
            "attention.self.value_proj",
            "attention.self.pos_query_proj",
            "attention.self.pos_key_proj",
            "attention.output.dense",
        ),
        "ffn": BertAdapter.part_names["ffn"],
        "norms": ("attention.output.LayerNorm", "output.LayerNorm"),
    }
    classifier: ClassVar[HeadNames | None] = HeadNames("pooler.dense", "classifier", "gelu")
    positions_in_attention: ClassVar[bool] = True
    attention_places: ClassVar[AttentionPlaces | None] = None  # scores hold distances, which a gap would change
    shared_inputs: ClassVar[tuple[str, ...]] = ("relative_pos", "rel_embeddings")
    # Replaced-token detection of v3, and v3's own masked head, which only `legacy = false` gives in transformers.
    foreign_heads: ClassVar[tuple[str, ...]] = ("mask_predictions.", "lm_predictions.")

    @override
    def takes_stack(self, config: Any) -> bool:
        return not getattr(config, "conv_kernel_size", 0)  # which runs beside the first layer, and joins its output

    @override
    def runs_of(self, model: nn.Module, role: Role) -> int:
        config: Any = model.config
        again = config.relative_attention and getattr(config, "share_att_key", False) and role in ("query", "key")
        return 2 if again else 1  # the second time on the distances

    @override
    def head_names(self, model: nn.Module) -> HeadNames | None:
        names, config = super().head_names(model), model.config
        plain = config.pooler_hidden_act == "gelu" and not config.pooler_dropout  # type: ignore[union-attr]
        return names if plain else None

    @override
    def output_projection(self, model: nn.Module) -> nn.Module | None:
        """None for v3's own masked head, which multiplies by the word embedding without a layer."""
        return super().output_projection(model) if getattr(model.config, "legacy", True) else None

    @override
    def narrowed(self, attention: nn.Module, heads: Sequence[int]) -> nn.Module:
        return DebertaHeads.in_place_of(attention, heads)

    @override
    def _role_names(self, model: nn.Module) -> dict[Role, str]:
        config: Any = model.config
        own = config.relative_attention and not getattr(config, "share_att_key", False)
        kinds = dict(zip(POSITION_ROLES, ("p2c", "c2p"), strict=True))
        absent = {role for role, kind in kinds.items() if not own or kind not in (config.pos_att_type or ())}
        return {role: name for role, name in self.roles.items() if role not in absent}
