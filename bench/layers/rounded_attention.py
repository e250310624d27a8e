"""Attention between rounded operands: queries, keys, values, and both sides of the softmax's division."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.layers.input_rounding import InputGrid, InputRounding
from bench.layers.layer import LAYER_KINDS, StoredModule

IMPLEMENTATION = "bench_rounded"  # what a configuration calls it
PLACE = "rounding"  # its name beside the maps of an attention

# Numerators and probabilities are never negative, and their 0 stays 0 in a range from 0 on.
OPERANDS: dict[str, InputGrid] = {
    "query": "interval",
    "key": "interval",
    "value": "interval",
    "numerator": "affine",
    "denominator": "interval",
    "probability": "affine",
}


@LAYER_KINDS.register("attention-rounding")
class AttentionRounding(StoredModule):
    """softmax(Q K^T / sqrt(d)) V with every operand of a product or a division rounded (Prato et al. 2020, §4.2).

    It is stored beside the maps of a stock attention, which runs it in the place of its own products by the
    implementation's name in the configuration. Numerators are exp(score - largest score of the row); dropout comes
    after the rounding of probabilities. The products are in float.

    Args:
        bits: width of a code.

    Each rounding has a fixed range, in buffers of its own.
    """

    kind: ClassVar[str] = "attention-rounding"
    beside: ClassVar[bool] = True
    query: InputRounding
    key: InputRounding
    value: InputRounding
    numerator: InputRounding
    denominator: InputRounding
    probability: InputRounding

    def __init__(self, bits: int = 8) -> None:
        super().__init__()
        self.bits = bits
        for name, grid in OPERANDS.items():
            self.add_module(name, InputRounding(bits, grid, "fixed"))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, scaling: float, dropout: float
    ) -> Tensor:
        """[batch, heads, queries, width] and twice [batch, heads, keys, width] to [batch, queries, heads, width].

        `mask` is added to the scores; `dropout` is that of training, 0 outside of it.
        """
        scores = torch.matmul(self.query(query), self.key(key).transpose(2, 3)) * scaling
        if mask is not None:
            scores = scores + mask
        numerator = self.numerator((scores - scores.detach().amax(dim=-1, keepdim=True)).exp())
        denominator = self.denominator(numerator.sum(dim=-1, keepdim=True))
        probability = functional.dropout(self.probability(numerator / denominator), dropout, dropout > 0)
        return torch.matmul(probability, self.value(value)).transpose(1, 2).contiguous()

    @override
    def arguments(self) -> dict[str, Any]:
        return {"bits": self.bits}


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """The call of transformers' attention modules to the implementation that is named in their configuration."""
    run: AttentionRounding = module.get_submodule(PLACE)  # type: ignore[assignment]
    scale = query.size(-1) ** -0.5 if scaling is None else scaling
    return run(query, key, value, attention_mask, scaling=scale, dropout=dropout), None


def register() -> None:
    """Tell transformers of the implementation; its masks are numbers that are added to scores."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(IMPLEMENTATION, attend)
    AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
