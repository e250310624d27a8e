"""The matrices that can be targets of a method, by their role in a layer; see `bench.models.roles`."""

from __future__ import annotations

from typing import Literal

from bench.models.roles import ALL_ROLES, CROSS_ROLES, GATE_ROLES, PARTS, ROLES, Part, Role

__all__ = ["ALL_ROLES", "CROSS_ROLES", "GATE_ROLES", "PARTS", "ROLES", "Part", "Role", "Target"]

Target = Role | Literal["embedding"]
