"""Hard-concrete gates in front of units, and of whole sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.methods.prune.concrete import HardConcrete
from bench.methods.prune.gated import Gates

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning
    from bench.methods.prune.saliencies.hard_concrete import HardConcreteGates


class ConcreteGates(Gates):
    """A gate z for each unit, drawn anew at each step; the scores are log a.

    With `groups` each site has a further gate that multiplies those of its units, so that a whole tensor can
    close; its openness is priced like that of one unit (structured diff pruning; dguo98/DiffPruning).
    """

    def __init__(self, pruning: Pruning, saliency: HardConcreteGates) -> None:
        super().__init__(pruning.sites, start=saliency.start)
        low, high = saliency.stretch
        self._chance = HardConcrete(temperature=saliency.temperature, low=low, high=high)
        self._weight = saliency.penalty_weight
        sparsity = pruning.method.sparsity
        self._free = 0.0 if sparsity is None else 1.0 - sparsity  # share of the gates that costs nothing
        device = next(iter(self.scores.values())).device
        self._groups = (
            {name: nn.Parameter(torch.full((1,), saliency.start, device=device)) for name in self.scores}
            if saliency.groups
            else {}
        )
        self._draws = torch.Generator(device=device).manual_seed(pruning.lab.seed)
        self._drawn: dict[str, Tensor] = {}

    @property
    def learned(self) -> list[nn.Parameter]:
        """See `Gates`."""
        return [*self.scores.values(), *self._groups.values()]

    def multipliers(self, step: int, total: int) -> dict[str, Tensor]:
        """See `Gates`."""
        with torch.enable_grad():
            for name, log_a in self.scores.items():
                drawn = self._chance.draw(log_a, self._draws)
                if name in self._groups:
                    drawn = drawn * self._chance.draw(self._groups[name], self._draws)
                self._drawn[name] = drawn
        return {name: drawn.detach() for name, drawn in self._drawn.items()}

    def learn(self, name: str, gradient: Tensor) -> None:
        """See `Gates`."""
        self._drawn.pop(name).backward(gradient)  # type: ignore[no-untyped-call]

    def price(self) -> Tensor | None:
        """lambda times the sum over gates of P(z > 0), over the number of units; less what may stay for nothing.

        Where a sparsity is asked for, only what is open beyond it costs, so that gates stop closing once it is reached.
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
