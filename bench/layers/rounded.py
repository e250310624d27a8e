"""A layer norm and an attention whose products and divisions are between rounded numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.layers.input_rounding import InputGrid, InputRounding
from bench.layers.layer import LAYER_KINDS, StoredModule

PARTS = ("numerator", "denominator", "quotient")


@LAYER_KINDS.register("rounded-norm")
class RoundedNorm(StoredModule):
    """y = gamma * (x - mean) / sqrt(variance + eps) + beta with both sides of the division, and it, rounded.

    Prato et al. 2020, §4.2. Gamma is rounded over its own least and largest number, at each call while it learns and
    then for good; beta is a bias and stays. What it gives is rounded by the layers that multiply it.

    Args:
        width: of what is normalized.
        eps: of the norm.
        bits: width of a code.

    `weight` [width] holds the rounded gamma as floats, `bias` [width]; each rounding has a fixed range of its own.
    """

    kind: ClassVar[str] = "rounded-norm"
    numerator: InputRounding
    denominator: InputRounding
    quotient: InputRounding

    def __init__(self, width: int, eps: float = 1e-5, bits: int = 8) -> None:
        super().__init__()
        self.width, self.eps, self.bits = width, eps, bits
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.latent = False  # whether `weight` is still to be rounded
        self.gamma = InputRounding(bits, "interval", "call")
        for name in PARTS:
            self.add_module(name, InputRounding(bits, "interval", "fixed"))

    @classmethod
    def in_place_of(cls, norm: nn.LayerNorm, bits: int) -> RoundedNorm:
        """The rounded form of `norm`, which holds its own parameters."""
        made = cls(norm.normalized_shape[-1], norm.eps, bits)
        made.weight, made.bias, made.latent = norm.weight, norm.bias, True
        return made.train(norm.training)

    @torch.no_grad()
    def settle(self) -> None:
        """Put the rounded gamma in the place of the one that trained."""
        self.weight.copy_(self.gamma(self.weight))
        self.latent = False

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., width] to the same."""
        centred = inputs - inputs.mean(dim=-1, keepdim=True)
        spread = (centred.square().mean(dim=-1, keepdim=True) + self.eps).sqrt()
        quotient: Tensor = self.quotient(self.numerator(centred) / self.denominator(spread))
        weight = self.gamma(self.weight) if self.latent else self.weight
        return quotient * weight + self.bias

    @override
    def arguments(self) -> dict[str, Any]:
        return {"width": self.width, "eps": self.eps, "bits": self.bits}

    @override
    def extra_repr(self) -> str:
        return f"{self.width}, eps={self.eps}, bits={self.bits}"


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


def register_attention() -> None:
    """Tell transformers of the implementation; its masks are numbers that are added to scores."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(IMPLEMENTATION, attend)
    AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
