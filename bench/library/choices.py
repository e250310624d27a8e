"""The registries behind the named arguments of methods and the parts of measures: all that a plug-in can add to."""

from __future__ import annotations

from typing import Any

from bench.base.registry import Registry
from bench.measures.robustness.attacks.source import ATTACK_SOURCES
from bench.methods.base.terms.compared import COMPARED
from bench.methods.base.terms.divergences import DIVERGENCES
from bench.methods.base.terms.maps import LAYER_MAPS
from bench.methods.base.terms.weights import EXAMPLE_WEIGHTS, WEIGHT_SCHEDULES
from bench.methods.distill.curricula import CURRICULA
from bench.methods.distill.students import STUDENTS
from bench.methods.distill.teachers import TEACHERS
from bench.methods.distill.transfer import TRANSFER
from bench.methods.exit.criteria import CRITERIA
from bench.methods.exit.losses import EXIT_LOSSES
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
from bench.methods.tokens.drop import TOKEN_RULES

# Each with the method whose argument it is, the measure that uses all of them, or `terms`, which methods with training
# have.
CHOICES: tuple[tuple[Registry[Any], str], ...] = (
    (COMPARED, "terms"),
    (LAYER_MAPS, "terms"),
    (DIVERGENCES, "terms"),
    (WEIGHT_SCHEDULES, "terms"),
    (EXAMPLE_WEIGHTS, "terms"),
    (STUDENTS, "distill"),
    (TEACHERS, "distill"),
    (CURRICULA, "distill"),
    (TRANSFER, "distill"),
    (EXIT_LOSSES, "exits"),
    (CRITERIA, "exit-at"),
    (TOKEN_RULES, "drop-tokens"),
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
