"""The matrices that a method may be pointed at, by what they do in a layer; see `bench.models.roles`."""

from __future__ import annotations

from typing import Literal

from bench.models.roles import ALL_ROLES, CROSS_ROLES, GATE_ROLES, PARTS, ROLES, Part, Role

__all__ = ["ALL_ROLES", "CROSS_ROLES", "GATE_ROLES", "PARTS", "ROLES", "Part", "Role", "Target"]

Target = Role | Literal["embedding"]
