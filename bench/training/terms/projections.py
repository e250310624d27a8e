"""Learned linear maps between the widths of a student and a teacher, which are thrown away after training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

_START = 0.02  # standard deviation of new matrices, BERT's own


class Projections:
    """The maps of one term, made when they are first used and trained by the same optimizer as the student.

    A map between equal widths starts as the identity. None of them belongs to a model.

    Args:
        seed: of the first weights.
    """

    def __init__(self, *, seed: int) -> None:
        self._draws = torch.Generator().manual_seed(seed)
        self._maps: dict[str, nn.Linear] = {}
        self._optimizer: AdamW | None = None

    def trained_by(self, optimizer: AdamW | None) -> None:
        """From now on, new maps are trained by `optimizer`, and those that are there already."""
        if optimizer is self._optimizer:
            return
        self._optimizer = optimizer
        for made in self._maps.values():
            self._add(made)

    def mapped(self, key: str, vectors: Tensor, width: int) -> Tensor:
        """`vectors` [..., n] as [..., width], by the map under `key`."""
        if key not in self._maps:
            self._maps[key] = self._made(vectors, width)
            self._add(self._maps[key])
        made = self._maps[key]
        return functional.linear(vectors, made.weight, made.bias)

    def parameters(self) -> list[nn.Parameter]:
        """Every weight and bias."""
        return [parameter for made in self._maps.values() for parameter in made.parameters()]

    def clear(self) -> None:
        """Drop the maps."""
        self._maps.clear()
        self._optimizer = None

    def _made(self, vectors: Tensor, width: int) -> nn.Linear:
        made = nn.Linear(vectors.shape[-1], width, device="meta").to_empty(device="cpu")
        with torch.no_grad():
            start = torch.randn(width, vectors.shape[-1], generator=self._draws) * _START
            made.weight.copy_(torch.eye(width) if width == vectors.shape[-1] else start)
            made.bias.zero_()
        return made.to(vectors.device)

    def _add(self, made: nn.Linear) -> None:
        if self._optimizer is None:
            return
        first = self._optimizer.param_groups[0]
        for parameters, decay in (([made.weight], first["weight_decay"]), ([made.bias], 0.0)):
            self._optimizer.add_param_group({"params": parameters, "weight_decay": decay, "lr": first["lr"]})
