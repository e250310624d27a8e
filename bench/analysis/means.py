"""One column of one recipe over tasks and seeds: its mean, the interval of a mean score, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis.aggregate import aggregate
from bench.analysis.bounds import bounds_of
from bench.analysis.seeds import NOT_CALLED, trains
from bench.analysis.spread import is_score, p_of_zero, score_over_cells
from bench.analysis.table import Absent, called_of, value_of
from bench.base.statistics import Interval
from bench.records.record import Record

Own = Mapping[tuple[str, int], Record]  # the recipe's records by task and seed
Cells = list[list[float | int]]  # [tasks][seeds]


def mean_of(name: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> float | int | Absent:
    """The column's one value over `tasks` and `seeds`, of which `own` has every cell.

    `X_low`, `X_high` and `X_p` of a score X are of the interval of the mean of X, except that a lone cell keeps what
    its record says. An absent value in one cell makes the whole absent, with the task named.
    """
    stem, _, part = name.rpartition("_")
    if part in ("low", "high", "p") and is_score(stem):
        return _of_interval(stem, part, own, tasks, seeds)
    if name == "retention":
        return _retention(own, tasks, seeds)
    cells = cells_of(name, own, tasks, seeds)
    if isinstance(cells, Absent):
        return cells
    try:
        return aggregate(name, cells)
    except ValueError as error:
        return Absent(f"{name}: {error}")


def cells_of(name: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> Cells | Absent:
    """The column's value by task and seed, or why one of them is absent."""
    cells: Cells = []
    for task in tasks:
        values: list[float | int] = []
        for seed in seeds:
            value = value_of(own[task, seed], name)
            if isinstance(value, Absent):
                return Absent(f"{name} on {task}: {value.reason}")
            values.append(value)
        cells.append(values)
    return cells


def score_interval_of(stem: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> Interval | Absent:
    """The interval of the mean of the score `stem`; without ends in the records, that over several seeds."""
    parts = [cells_of(name, own, tasks, seeds) for name in (stem, f"{stem}_low", f"{stem}_high")]
    means = None
    if stem == "retention":
        whole = _retention(own, tasks, seeds)
        if isinstance(whole, Absent):
            return whole
        references = _references(own, tasks, seeds)
        parts = [_weighted(part, references) for part in parts]
        means = _ratio_by_seed(cells_of("quality", own, tasks, seeds), references)
    values, lows, highs = parts
    if isinstance(values, Absent):
        return values
    ends, why = None, Absent(f"{stem}: no interval over one seed")
    if isinstance(lows, Absent) or isinstance(highs, Absent):
        why = lows if isinstance(lows, Absent) else why
        if stem in ("drop", "retention") and all(own[task, seed].recipe_base == "none" for task, seed in own):
            return why  # a model does not differ from itself, whatever the seed
    else:
        ends = [list(zip(*row, strict=True)) for row in zip(lows, highs, strict=True)]
    bounds = bounds_of(stem, [[own[task, seed] for seed in seeds] for task in tasks])
    return score_over_cells(values, ends, bounds, means=means) or why


def by_seed(name: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> tuple[float, ...] | Absent:
    """The column's value over `tasks` of each seed by itself."""
    found = [mean_of(name, own, tasks, [seed]) for seed in seeds]
    absent = [value for value in found if isinstance(value, Absent)]
    return absent[0] if absent else tuple(float(value) for value in found if not isinstance(value, Absent))


def _of_interval(stem: str, part: str, own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> float | int | Absent:
    """An end or the p of an interval; a p over one seed of a recipe that trains is absent, since it is not called."""
    if len(tasks) == len(seeds) == 1:
        return called_of(own[tasks[0], seeds[0]], f"{stem}_{part}")
    interval = score_interval_of(stem, own, tasks, seeds)
    if isinstance(interval, Absent):
        return interval
    if part == "p" and len(seeds) == 1 and any(trains(own[task, seeds[0]]) for task in tasks):
        return Absent(NOT_CALLED)
    return {"low": interval.low, "high": interval.high, "p": p_of_zero(interval)}[part]


def _retention(own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> float | Absent:
    """Mean quality over mean quality of the reference, each over the same cells."""
    qualities = cells_of("quality", own, tasks, seeds)
    if isinstance(qualities, Absent):
        return qualities
    references = _references(own, tasks, seeds)
    if isinstance(references, Absent):
        return references
    whole = aggregate("quality", references)
    if whole <= 0:
        return Absent("the reference's mean quality is not positive")
    return aggregate("quality", qualities) / whole


def _references(own: Own, tasks: Sequence[str], seeds: Sequence[int]) -> Cells | Absent:
    for task in tasks:
        if any("quality" not in own[task, seed].reference for seed in seeds):
            return Absent(f"the record of {task} has no quality of the reference")
    return [[own[task, seed].reference["quality"] for seed in seeds] for task in tasks]


def _ratio_by_seed(qualities: Cells | Absent, references: Cells | Absent) -> list[float] | None:
    """For each seed R + (q - R r) / r', with R = q' / r' the ratio of the means, which is the mean of these numbers.

    Their spread is that of R to first order (ratio estimation: Cochran 1977, Sampling Techniques, section 6.4).
    """
    if isinstance(qualities, Absent) or isinstance(references, Absent):
        return None
    own, other = ([sum(seed) / len(seed) for seed in zip(*cells, strict=True)] for cells in (qualities, references))
    whole = sum(other) / len(other)
    ratio = sum(own) / len(own) / whole
    return [ratio + (mine - ratio * theirs) / whole for mine, theirs in zip(own, other, strict=True)]


def _weighted(cells: Cells | Absent, references: Cells | Absent) -> Cells | Absent:
    """Retentions by task as shares of the retention of the mean: task t counts with its reference over their mean."""
    if isinstance(cells, Absent) or isinstance(references, Absent):
        return cells if isinstance(cells, Absent) else references
    wholes = [sum(seed) / len(seed) for seed in zip(*references, strict=True)]
    return [
        [value * reference / whole for value, reference, whole in zip(row, own, wholes, strict=True)]
        for row, own in zip(cells, references, strict=True)
    ]
