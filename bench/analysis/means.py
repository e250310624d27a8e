"""Average a column over seeds and tasks, with its interval, or say why there is none."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from bench.analysis.seeds import NOT_CALLED, trains
from bench.analysis.spread import p_of_zero, range_of, score_over_cells
from bench.analysis.table import Absent, called_of, value_of
from bench.base.statistics import Interval
from bench.columns import Column, Part, column
from bench.columns.column import Mean
from bench.records.record import Record

Own = Mapping[tuple[str, int], Record]  # the recipe's records by task and seed
Values = Sequence[float | int]
SeedValues = list[list[float | int]]  # [tasks][seeds]


def aggregate(shown: Column, tasks: Sequence[Values]) -> float:
    """One value of a column from `tasks`, which holds the values of every seed of every task.

    Seeds are averaged first, then tasks, as the column's `mean` says. Ratios are averaged geometrically, so that twice
    as fast and half as fast give 1 (Fleming and Wallace 1986). The ends of an interval are averaged like the value,
    which is never too narrow, however much the cells err together; the ends of a score are not, see
    `bench.analysis.spread`. Raises `ValueError` if a ratio is not positive, and if values have no mean.
    """
    if shown.mean not in _MEANS and sum(map(len, tasks)) > 1:
        raise ValueError("has no mean over seeds or tasks, only values per record")
    over_seeds, over_tasks = _MEANS.get(shown.mean, _MEANS["arithmetic"])
    return over_tasks([over_seeds(seeds) for seeds in tasks])


def _geometric(values: Values) -> float:
    if not values or min(values) <= 0:
        raise ValueError(f"a geometric mean needs positive values, found {list(values)}")
    return math.exp(statistics.fmean(math.log(value) for value in values))


_MEANS: dict[Mean, tuple[Callable[[Values], float], Callable[[Values], float]]] = {  # over seeds, over tasks
    "arithmetic": (statistics.fmean, statistics.fmean),
    "geometric": (_geometric, _geometric),
    "largest": (max, max),
    "sum": (statistics.fmean, math.fsum),
}


def mean_of(name: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> float | int | Absent:
    """The column's one value over `tasks` and `seeds`, of which `own` has every cell.

    The ends and the p of a score are those of the interval of its mean, except that a lone cell keeps what its record
    says. An absent value in one cell makes the whole absent, with the task named.
    """
    shown = column(name)
    if shown.part is not None and shown.is_score:
        return _of_interval(shown, shown.part, own, tasks, seeds)
    if shown.mean == "ratio of means":
        return _ratio_of_means(shown.of, own, tasks, seeds)
    cells = cells_of(name, own, tasks, seeds)
    if isinstance(cells, Absent):
        return cells
    try:
        return aggregate(shown, cells)
    except ValueError as error:
        return Absent(f"{name}: {error}")


def cells_of(name: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> SeedValues | Absent:
    """The column's value by task and seed, or why one of them is absent."""
    cells: SeedValues = []
    for task in tasks:
        values: list[float | int] = []
        for seed in seeds:
            value = value_of(own[task, seed], name)
            if isinstance(value, Absent):
                return Absent(f"{name} on {task}: {value.reason}")
            values.append(value)
        cells.append(values)
    return cells


def score_interval_of(score: Column, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> Interval | Absent:
    """The interval of the mean of a score; without ends in the records, that over several seeds."""
    parts = [cells_of(name, own, tasks, seeds) for name in (score.name, score.ends.low, score.ends.high)]
    means = None
    if score.mean == "ratio of means":
        whole = _ratio_of_means(score.of, own, tasks, seeds)
        if isinstance(whole, Absent):
            return whole
        references = _references(score.of, own, tasks, seeds)
        parts = [_weighted(part, references) for part in parts]
        means = _ratio_by_seed(cells_of(score.of, own, tasks, seeds), references)
    values, lows, highs = parts
    if isinstance(values, Absent):
        return values
    ends, why = None, Absent(f"{score.name}: no interval over one seed")
    if isinstance(lows, Absent) or isinstance(highs, Absent):
        why = lows if isinstance(lows, Absent) else why
        if score.relative and all(own[task, seed].recipe_base == "none" for task, seed in own):
            return why  # a model does not differ from itself, whatever the seed
    else:
        ends = [list(zip(*row, strict=True)) for row in zip(lows, highs, strict=True)]
    bounds = range_of(score, [[own[task, seed] for seed in seeds] for task in tasks])
    return score_over_cells(values, ends, bounds, means=means) or why


def by_seed(name: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> tuple[float, ...] | Absent:
    """The column's value over `tasks`, per seed."""
    found = [mean_of(name, own, tasks, [seed]) for seed in seeds]
    absent = [value for value in found if isinstance(value, Absent)]
    return absent[0] if absent else tuple(float(value) for value in found if not isinstance(value, Absent))


def _of_interval(end: Column, part: Part, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> float | int | Absent:
    """An end or the p of an interval; a p over one seed of a recipe that trains is absent, since it gets no verdict."""
    if len(tasks) == len(seeds) == 1:
        return called_of(own[tasks[0], seeds[0]], end.name)
    interval = score_interval_of(column(part.of), own, tasks, seeds)
    if isinstance(interval, Absent):
        return interval
    if part.which == "p" and len(seeds) == 1 and any(trains(own[task, seeds[0]]) for task in tasks):
        return Absent(NOT_CALLED)
    return {"low": interval.low, "high": interval.high, "p": p_of_zero(interval)}[part.which]


def _ratio_of_means(of: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> float | Absent:
    """The mean of the column `of` over the reference's mean, each over the same cells."""
    values = cells_of(of, own, tasks, seeds)
    if isinstance(values, Absent):
        return values
    references = _references(of, own, tasks, seeds)
    if isinstance(references, Absent):
        return references
    whole = aggregate(column(of), references)
    if whole <= 0:
        return Absent(f"the reference's mean {of} is not positive")
    return aggregate(column(of), values) / whole


def _references(of: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> SeedValues | Absent:
    for task in tasks:
        if any(of not in own[task, seed].reference for seed in seeds):
            return Absent(f"the record of {task} lacks the {of} of the reference")
    return [[own[task, seed].reference[of] for seed in seeds] for task in tasks]


def _ratio_by_seed(qualities: SeedValues | Absent, references: SeedValues | Absent) -> list[float] | None:
    """For each seed R + (q - R r) / r', with R = q' / r' the ratio of the means, which is the mean of these numbers.

    Their spread is that of R to first order (ratio estimation: Cochran 1977, Sampling Techniques, section 6.4).
    """
    if isinstance(qualities, Absent) or isinstance(references, Absent):
        return None
    own, other = ([sum(seed) / len(seed) for seed in zip(*cells, strict=True)] for cells in (qualities, references))
    whole = sum(other) / len(other)
    ratio = sum(own) / len(own) / whole
    return [ratio + (mine - ratio * theirs) / whole for mine, theirs in zip(own, other, strict=True)]


def _weighted(cells: SeedValues | Absent, references: SeedValues | Absent) -> SeedValues | Absent:
    """Retentions by task as shares of the retention of the mean: task t counts with its reference over their mean."""
    if isinstance(cells, Absent) or isinstance(references, Absent):
        return cells if isinstance(cells, Absent) else references
    wholes = [sum(seed) / len(seed) for seed in zip(*references, strict=True)]
    return [
        [value * reference / whole for value, reference, whole in zip(row, own, wholes, strict=True)]
        for row, own in zip(cells, references, strict=True)
    ]
