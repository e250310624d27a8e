"""The hard-concrete distribution: a gate in [0, 1] that is exactly 0 or 1 with positive probability."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_EDGE = 1e-6  # distance of the noise from 0 and 1, as in AMLab-Amsterdam/L0_regularization


@dataclass(frozen=True, kw_only=True)
class HardConcrete:
    """Louizos et al. 2018, arXiv:1712.01312, §2.2; `log_a` is the parameter of each gate.

    `temperature` is beta, above 0; `low` is gamma, below 0; `high` is zeta, above 1.
    """

    temperature: float = 2 / 3
    low: float = -0.1
    high: float = 1.1

    def draw(self, log_a: Tensor, draws: torch.Generator | None = None) -> Tensor:
        """One gate for each parameter: clip(sigmoid((logit(u) + log_a) / beta) (zeta - gamma) + gamma, 0, 1) (eq. 10).

        u is uniform; the gradient goes to `log_a`.
        """
        noise = torch.rand(log_a.shape, generator=draws, device=log_a.device).logit_(_EDGE)
        return self._clipped(torch.sigmoid((noise + log_a) / self.temperature))

    def certain(self, log_a: Tensor) -> Tensor:
        """The gate without noise: clip(sigmoid(log_a) (zeta - gamma) + gamma, 0, 1) (eq. 13)."""
        return self._clipped(torch.sigmoid(log_a))

    def open(self, log_a: Tensor) -> Tensor:
        """The probability that a drawn gate is not 0: sigmoid(log_a - beta log(-gamma / zeta)) (eq. 12)."""
        return torch.sigmoid(log_a - self.temperature * math.log(-self.low / self.high))

    def _clipped(self, value: Tensor) -> Tensor:
        return (value * (self.high - self.low) + self.low).clamp(0.0, 1.0)
