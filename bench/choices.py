"""The registries behind the named arguments of methods and the parts of measures: all that a plug-in can add to."""

from __future__ import annotations

from typing import Any

from bench.measures.attacks.source import ATTACK_SOURCES
from bench.methods.factorizing.solver import SOLVERS
from bench.methods.pruning.penalty import PENALTIES
from bench.methods.pruning.saliency import SALIENCIES
from bench.methods.pruning.schedule import SCHEDULES
from bench.methods.pruning.selector import SELECTORS
from bench.methods.pruning.unit import UNITS
from bench.methods.quantizing.allocation import ALLOCATIONS
from bench.methods.quantizing.granularity import GRANULARITIES
from bench.methods.quantizing.grid import GRIDS
from bench.methods.quantizing.mode import MODES
from bench.methods.quantizing.range import RANGES
from bench.registry import Registry

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
    (MODES, "quantize"),
    (ATTACK_SOURCES, "attack"),
)
