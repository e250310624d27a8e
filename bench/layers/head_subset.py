"""Attention modules of transformers that know their heads by number, with only some of these heads left."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, cast

from torch import Tensor, nn
from typing_extensions import override

from bench.layers.layer import LAYER_KINDS, StoredModule


class HeadSubset(StoredModule):
    """Runs `heads` of the heads of an attention module, whose class it extends; the numbers are those of the whole.

    Subclasses say which class (`original`) and which settings it is made with (`settings_of`). The class is imported
    when the first such module is made, since it takes seconds.

    Args:
        heads: the numbers of the heads that are left, rising.
        settings: what the original is made with.
    """

    open: ClassVar[bool] = True
    heads: tuple[int, ...]
    settings: dict[str, Any]

    def __init__(self, heads: Sequence[int], settings: dict[str, Any]) -> None:
        whole: Any = super()
        whole.__init__(SimpleNamespace(**settings))
        self.heads = tuple(heads)
        self.settings = settings
        self.num_attention_heads = len(heads)
        width: Any = self.attention_head_size
        self.all_head_size = len(heads) * width

    @staticmethod
    @abstractmethod
    def original() -> type[nn.Module]:
        """The class of the whole attention."""

    @staticmethod
    @abstractmethod
    def settings_of(attention: nn.Module) -> dict[str, Any]:
        """What the original of `attention` was made with, as JSON values."""

    @override
    @classmethod
    def from_arguments(cls, **arguments: Any) -> StoredModule:
        """A module with all heads' matrices; those that are left take their places."""
        made: StoredModule = _extended(cast(Any, cls))(**arguments)
        return made

    @classmethod
    def in_place_of(cls, attention: nn.Module, heads: Sequence[int]) -> StoredModule:
        """`attention` with only those of its present heads whose numbers are given; its matrices are the same modules.

        They have no rows and columns of other heads by now.
        """
        import torch

        subset = attention if isinstance(attention, HeadSubset) else None
        count: Any = attention.num_attention_heads
        present = tuple(range(count)) if subset is None else subset.heads
        settings = cls.settings_of(attention) if subset is None else subset.settings
        with torch.device("meta"):
            made = cls.from_arguments(heads=[present[head] for head in heads], settings=settings)
        for name, module in attention.named_children():
            made._modules[name] = module
        return made.train(attention.training)

    @override
    def arguments(self) -> dict[str, Any]:
        return {"heads": list(self.heads), "settings": self.settings}

    @override
    def extra_repr(self) -> str:
        return f"heads={self.heads}"


@LAYER_KINDS.register("mpnet-heads")
class MPNetHeads(HeadSubset):
    """Some heads of an MPNet layer, each with its own column of the table of distances that all layers share."""

    kind: ClassVar[str] = "mpnet-heads"

    @override
    @staticmethod
    def original() -> type[nn.Module]:
        from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

        return MPNetSelfAttention  # type: ignore[no-any-return]

    @override
    @staticmethod
    def settings_of(attention: Any) -> dict[str, Any]:
        return {
            "hidden_size": attention.all_head_size,
            "num_attention_heads": attention.num_attention_heads,
            "attention_probs_dropout_prob": attention.dropout.p,
        }

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        output_attentions: bool = False,
        **more: Any,
    ) -> Any:
        """As the original; of `position_bias` [batch, heads of the whole, queries, keys] only the own heads'."""
        own = None if position_bias is None else position_bias[:, list(self.heads)]
        whole: Any = super()
        return whole.forward(hidden_states, attention_mask, own, output_attentions, **more)


@LAYER_KINDS.register("deberta-heads")
class DebertaHeads(HeadSubset):
    """Some heads of a DeBERTa layer, which maps the distances for each head itself."""

    kind: ClassVar[str] = "deberta-heads"

    @override
    @staticmethod
    def original() -> type[nn.Module]:
        from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

        return DisentangledSelfAttention  # type: ignore[no-any-return]

    @override
    @staticmethod
    def settings_of(attention: Any) -> dict[str, Any]:
        found = {
            "hidden_size": attention.num_attention_heads * attention.attention_head_size,
            "num_attention_heads": attention.num_attention_heads,
            "attention_head_size": attention.attention_head_size,
            "share_att_key": attention.share_att_key,
            "pos_att_type": list(attention.pos_att_type),
            "relative_attention": attention.relative_attention,
            "hidden_dropout_prob": attention.pos_dropout.p if attention.relative_attention else 0.0,
            "attention_probs_dropout_prob": attention.dropout.p,
        }
        if attention.relative_attention:
            found["position_buckets"] = attention.position_buckets
            found["max_relative_positions"] = attention.max_relative_positions
        return found


@functools.cache
def _extended(subset: Any) -> Any:
    """The class of the attention with what `subset` changes."""
    return type(subset.__name__, (subset, subset.original()), {"__module__": subset.__module__})
