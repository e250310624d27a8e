"""The encoder matrices that a method may be pointed at, by what they do in a layer."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["query", "key", "value", "attention_output", "ffn_in", "ffn_out"]
ROLES: tuple[Role, ...] = get_args(Role)
