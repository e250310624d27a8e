"""The registries behind the named arguments of methods and the parts of measures: all that a plug-in can add to."""

from __future__ import annotations

from typing import Any

from bench.base.registry import Registry
from bench.measures.robustness.attacks.source import ATTACK_SOURCES
from bench.methods.factorize.solver import SOLVERS
from bench.methods.prune.penalties import PENALTIES
from bench.methods.prune.saliencies import SALIENCIES
from bench.methods.prune.schedules import SCHEDULES
from bench.methods.prune.selectors import SELECTORS
from bench.methods.prune.units import UNITS
from bench.methods.quantize.allocation import ALLOCATIONS
from bench.methods.quantize.granularity import GRANULARITIES
from bench.methods.quantize.grid import GRIDS
from bench.methods.quantize.ranges import RANGES
from bench.methods.quantize.scheme import SCHEMES

# Each with the method whose argument it is, or the measure that uses all of them.
CHOICES: tuple[tuple[Registry[Any], str], ...] = (
    (SOLVERS, "factorize"),
    (UNITS, "prune"),
    (SALIENCIES, "prune"),
    (SELECTORS, "prune"),
    (SCHEDULES, "prune"),
    (PENALTIES, "prune"),
    (GRIDS, "quantize"),
    (GRANULARITIES, "quantize"),
    (RANGES, "quantize"),
    (ALLOCATIONS, "quantize"),
    (SCHEMES, "quantize"),
    (ATTACK_SOURCES, "attack"),
)
