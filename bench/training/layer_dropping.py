"""A list of layers that leaves some of them out while the model trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn


class DroppingList(nn.ModuleList):
    """A stack whose architecture loops over it once per forward pass, and meets each layer with probability 1 - rate.

    Layers are skipped independently of each other, the hidden state passes to the next layer unchanged, and nothing is
    scaled (Fan et al. 2020, arXiv:1909.11556, §3.2; fairseq's `LayerDropModuleList` does the same). Outside training
    the loop meets all. What asks for the layers in training mode by iterating gets a draw as well.

    Args:
        layers: in the order in which they run; the same module may appear several times.
        rate: probability of each to be left out, in [0, 1).
        draws: decides.
    """

    def __init__(self, layers: Iterable[nn.Module], *, rate: float, draws: torch.Generator) -> None:
        super().__init__(layers)
        self._rate = rate
        self._draws = draws

    def __iter__(self) -> Iterator[nn.Module]:
        """Every layer, or in training those that this pass runs."""
        layers = list(super().__iter__())
        if not self.training:
            return iter(layers)
        stays = torch.rand(len(layers), generator=self._draws) >= self._rate
        return iter([layer for layer, kept in zip(layers, stays.tolist(), strict=True) if kept])
