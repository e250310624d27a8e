"""Modules made from functions, traced: what the tests of counting share."""

from __future__ import annotations

import torch
from torch import nn

from bench.measures.computation.trace import trace


class Called(nn.Module):
    """A model of tensors by name that calls a function of the module and of them."""

    def __init__(self, body, **modules):
        super().__init__()
        self.body = body
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, **tensors):
        return self.body(self, **tensors)


def traced(body, inputs, **modules):
    """The ledger of `body(self, **inputs)` with `modules` set on self, in evaluation mode."""
    return trace(Called(body, **modules).eval(), inputs)


def encoder_macs(*, length, hidden, ffn, layers):
    """Closed form for a BERT encoder: S (4 H^2 + 2 H F) + 2 S^2 H a layer."""
    return layers * (length * (4 * hidden**2 + 2 * hidden * ffn) + 2 * length**2 * hidden)


def bert_inputs(length, batch=1):
    ids = torch.full((batch, length), 7)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
