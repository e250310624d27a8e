"""What a weight matrix does in its layer, and the parts that a layer has, named alike for all architectures."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal[
    "query",
    "key",
    "value",
    "attention_output",
    "ffn_in",
    "ffn_out",
    "cross_query",
    "cross_key",
    "cross_value",
    "cross_output",
    "input_gates",
    "hidden_gates",
    "softmax",
]
ALL_ROLES: tuple[Role, ...] = get_args(Role)

# What every Transformer layer has, and the order in which roles are given.
ROLES: tuple[Role, ...] = ALL_ROLES[:6]
CROSS_ROLES: tuple[Role, ...] = ALL_ROLES[6:10]
GATE_ROLES: tuple[Role, ...] = ALL_ROLES[10:12]

Part = Literal["attention", "cross_attention", "ffn", "gates", "norms"]
PARTS: tuple[Part, ...] = get_args(Part)
