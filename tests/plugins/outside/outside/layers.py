"""A stored form of a linear layer."""

from __future__ import annotations

import torch
from torch.nn import functional

from bench.layers.exit_rules import ExitRule
from bench.layers.layer import LAYER_KINDS, StoredLayer


@LAYER_KINDS.register("half-linear")
class HalfLinear(StoredLayer):
    """A weight in 16-bit floats that is multiplied in 32-bit ones."""

    kind = "half-linear"

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = torch.nn.Parameter(torch.zeros(out_features, in_features, dtype=torch.float16))
        self.bias = torch.nn.Parameter(torch.zeros(out_features))

    @classmethod
    def of(cls, linear):
        """The form of a stock layer."""
        made = cls(linear.in_features, linear.out_features)
        made.weight = torch.nn.Parameter(linear.weight.detach().half())
        made.bias = torch.nn.Parameter(linear.bias.detach().clone())
        return made

    def arguments(self):
        return {"in_features": self.in_features, "out_features": self.out_features}

    def dense(self):
        return self.weight.float()

    def forward(self, inputs):
        return functional.linear(inputs, self.dense(), self.bias)

    def macs(self, rows):
        return rows * self.in_features * self.out_features


@LAYER_KINDS.register("exit-margin")
class MarginRule(ExitRule):
    """A row leaves if its two largest probabilities differ by more than a margin."""

    kind = "exit-margin"

    def __init__(self, least):
        super().__init__()
        self.least = least

    def arguments(self):
        return {"least": self.least}

    def leaves(self, said):
        first, second = said[-1].softmax(-1).topk(2).values.unbind(-1)
        return first - second > self.least
