"""A layer norm whose division is between rounded numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.layers.input_rounding import InputRounding
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
