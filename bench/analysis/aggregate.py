"""How the cells of one recipe become one number: the rule of every column, in one place.

Seeds are averaged first, then tasks, both by the same rule, except that a cost of making artifacts is averaged over
seeds and added over tasks. `retention` is not here: it is the ratio of two means, never a mean of ratios.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

Values = Sequence[float | int]

_GEOMETRIC = frozenset({"speedup", "speedup_low", "speedup_high", "speedup_layers", "compression"})
_LARGEST = frozenset(  # what a machine needs to run any of the tasks
    {"memory_load_bytes", "memory_inference_bytes", "memory_peak_bytes", "memory_device_bytes"}
)
_ADDED = frozenset({"compress_s", "compress_cpu_s", "compress_energy_kwh"})
_SINGLE = frozenset({"break_even_inferences"})  # a quotient of two noisy sums, of which no mean is a break-even


def aggregate(name: str, tasks: Sequence[Values]) -> float:
    """One value of the column `name` from `tasks`, which holds the values of every seed of every task.

    Ratios are averaged geometrically, so that twice as fast and half as fast give 1 (Fleming and Wallace 1986). The
    ends of an interval are averaged like the value, which is never too narrow, however much the cells err together;
    the ends of a score are not, see `bench.analysis.spread`. Raises `ValueError` where a ratio is
    not positive or there is nothing to average.
    """
    if name in _SINGLE and sum(map(len, tasks)) > 1:
        raise ValueError("has no mean over seeds or tasks; every record has its own")
    over_seeds, over_tasks = _rules(name)
    return over_tasks([over_seeds(seeds) for seeds in tasks])


def _rules(name: str) -> tuple[Callable[[Values], float], Callable[[Values], float]]:
    if name in _GEOMETRIC:
        return _geometric, _geometric
    if name in _LARGEST:
        return max, max
    return statistics.fmean, math.fsum if name in _ADDED else statistics.fmean


def _geometric(values: Values) -> float:
    if not values or min(values) <= 0:
        raise ValueError(f"a geometric mean needs positive values, found {list(values)}")
    return math.exp(statistics.fmean(math.log(value) for value in values))
