"""Hard-concrete gates: numbers in [0, 1] that are exactly 0 or 1 with positive probability, learned by drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.methods.prune.gates import Gates

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning


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


class ConcreteGates(Gates):
    """A gate z per unit, drawn again at each step; the scores are log a.

    With `groups` each site has a further gate that multiplies those of its units, so that a whole tensor can
    close; its openness is priced like that of one unit (structured diff pruning; dguo98/DiffPruning).

    Args:
        pruning: the pruning; its sparsity sets how many gates have no penalty.
        chance: the distribution of a gate.
        start: log a of every gate before training.
        weight: price of open gates.
        groups: whether each site has an additional gate.
    """

    def __init__(
        self, pruning: Pruning, chance: HardConcrete, *, start: float, weight: float, groups: bool = False
    ) -> None:
        super().__init__(pruning.sites, start=start)
        self._chance = chance
        self._weight = weight
        sparsity = pruning.method.sparsity
        self._free = 0.0 if sparsity is None else 1.0 - sparsity  # share of the gates that costs nothing
        device = next(iter(self.scores.values())).device
        self._groups = (
            {name: nn.Parameter(torch.full((1,), start, device=device)) for name in self.scores} if groups else {}
        )
        self._draws = torch.Generator(device=device).manual_seed(pruning.lab.seed)
        self._drawn: dict[str, Tensor] = {}

    @property
    @override
    def learned(self) -> list[nn.Parameter]:
        return [*self.scores.values(), *self._groups.values()]

    @override
    def multipliers(self, step: int, total: int) -> dict[str, Tensor]:
        with torch.enable_grad():
            for name, log_a in self.scores.items():
                drawn = self._chance.draw(log_a, self._draws)
                if name in self._groups:
                    drawn = drawn * self._chance.draw(self._groups[name], self._draws)
                self._drawn[name] = drawn
        return {name: drawn.detach() for name, drawn in self._drawn.items()}

    @override
    def learn(self, name: str, gradient: Tensor) -> None:
        self._drawn.pop(name).backward(gradient)  # type: ignore[no-untyped-call]

    def price(self) -> Tensor | None:
        """lambda times the sum over gates of P(z > 0), over the number of units; less what may stay for nothing.

        If a sparsity is given, only gates open beyond it are penalized, so that gates stop closing once it is reached.
        """
        if not self._weight:
            return None
        units = sum(len(score) for score in self.scores.values())
        share = torch.stack([self._chance.open(log_a).sum() for log_a in self.learned]).sum() / units
        return self._weight * (share - self._free).clamp_min(0.0)

    @torch.no_grad()
    def certain(self) -> dict[str, Tensor]:
        """The gates without noise, [count] by site."""
        found = {name: self._chance.certain(log_a) for name, log_a in self.scores.items()}
        return {
            name: value * self._chance.certain(self._groups[name]) if name in self._groups else value
            for name, value in found.items()
        }

    @torch.no_grad()
    def openness(self) -> dict[str, Tensor]:
        """The logarithm of P(z > 0) of each unit, its site's gate included, [count] by site."""
        found = {name: self._chance.open(log_a).log() for name, log_a in self.scores.items()}
        return {
            name: value + self._chance.open(self._groups[name]).log() if name in self._groups else value
            for name, value in found.items()
        }
