"""The children that a run needs, what each waits for, and which may start now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bench.artifacts.store import EntryKind, Store
from bench.measures.base.measure import MEASURES, ProbingMeasure
from bench.plan.cell import Cell
from bench.tasks.kinds.kind import KINDS

Phase = Literal["reference", "compress", "probe", "measure"]


class Probe(NamedTuple):
    """One call of a measure's probe called `name` on one stored model, or on two beside each other."""

    measure: str
    name: str
    places: tuple[tuple[EntryKind, str], ...]

    @property
    def id(self) -> str:
        """A name that differs for every probe of a run."""
        return " ".join(["probe", self.measure, self.name, *(f"{kind} {key}" for kind, key in self.places)])


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One child to run: it waits until its `needs` have ended, and an `exclusive` one runs alone."""

    phase: Phase
    cell: Cell
    id: str
    needs: frozenset[str] = frozenset()
    exclusive: bool = False
    probe: Probe | None = None


def steps_of(cells: Sequence[Cell], store: Store, *, jobs: int) -> list[Step]:
    """Every step that the store does not make needless, in the order to start them.

    With one job each cell is finished before the next is begun; with several, everything is trained and compressed
    first, because measuring must have the machine to itself.
    """
    steps: dict[str, Step] = {}
    shared = _shared_beginnings(cells, store)
    for cell in cells:
        needs = _reference(cell, store, steps)
        for count, key in enumerate(cell.stage_keys[:-1], start=1):
            if key in shared:
                needs |= _compress(cell.beginning(count), store, steps, needs)
        if cell.recipe.stages:
            needs |= _compress(cell, store, steps, needs)
        probes = _probes(cell, steps, needs)
        name = f"measure {cell.key}"
        steps[name] = Step(phase="measure", cell=cell, id=name, needs=needs | probes, exclusive=True)
    ordered = list(steps.values())
    return sorted(ordered, key=lambda step: step.exclusive) if jobs > 1 else ordered


def startable(waiting: Sequence[Step], running: Collection[Step], *, jobs: int) -> list[Step]:
    """The steps to start now, at most `jobs` at a time, none beside an exclusive one and none before its needs."""
    pending = {step.id for step in (*waiting, *running)}
    chosen: list[Step] = []
    for step in waiting:
        beside = [*running, *chosen]
        if len(beside) >= jobs or any(other.exclusive for other in beside) or (step.exclusive and beside):
            break
        if not step.needs & pending:
            chosen.append(step)
    return chosen


def _probes(cell: Cell, steps: dict[str, Step], needs: frozenset[str]) -> frozenset[str]:
    """Add what must be found out of the cell's two models in processes of their own; returns the ids.

    A measure's probes are spread over the time that all of them take, those of other measures between them, so that a
    disturbance of some seconds meets few of them.
    """
    wanted = [
        (order, Probe(measure, name, places))
        for measure, plugin in probing(cell)
        for order, name in enumerate(plugin.probes(cell.suite.setting.measuring, KINDS.get(cell.task.kind)))
        for places in probed_places(cell, plugin)
    ]
    probes = [probe for _, probe in sorted(wanted, key=lambda item: item[0])]
    for probe in probes:
        step = Step(phase="probe", cell=cell, id=probe.id, needs=needs, exclusive=True, probe=probe)
        steps.setdefault(probe.id, step)
    return frozenset(probe.id for probe in probes)


def probing(cell: Cell) -> list[tuple[str, ProbingMeasure]]:
    """The measures that probe the models of a cell, by name: those not skipped, of a function only those that ask."""
    return [
        (name, plugin)
        for name, plugin in MEASURES.items()
        if isinstance(plugin, ProbingMeasure)
        and name not in cell.suite.setting.measuring.skip
        and (plugin.asks or not cell.closed)
    ]


def probed_places(cell: Cell, plugin: ProbingMeasure) -> tuple[tuple[tuple[EntryKind, str], ...], ...]:
    """What each probe of `plugin` is called on: artifact and reference, one after the other or both at once."""
    both = (cell.artifact_place, cell.reference_place)
    return (both,) if plugin.together else ((both[0],), (both[1],))


def _shared_beginnings(cells: Sequence[Cell], store: Store) -> frozenset[str]:
    """The keys of beginnings worth a step of their own: the longest that each artifact has in common with another.

    Without it a training that several recipes begin with, such as LayerDrop's for several depths, is done for each.
    """
    made = {cell.stage_keys for cell in cells if cell.stage_keys and not store.has(*cell.artifact_place)}
    times = Counter(key for keys in made for key in keys)
    longest = (next((key for key in reversed(keys[:-1]) if times[key] > 1), None) for keys in made)
    return frozenset(key for key in longest if key is not None)


def _reference(cell: Cell, store: Store, steps: dict[str, Step]) -> frozenset[str]:
    """Add the step that trains the cell's reference unless it is there; returns what compressing must wait for."""
    name = f"reference {cell.reference_key}"
    if name not in steps and not store.has("references", cell.reference_key):
        steps[name] = Step(phase="reference", cell=cell, id=name)
    return frozenset({name} & steps.keys())


def _compress(cell: Cell, store: Store, steps: dict[str, Step], needs: frozenset[str]) -> frozenset[str]:
    """Add the step that makes the cell's artifact unless it is there; returns what the next step must wait for.

    The step also waits for any other that makes the beginning of the same recipe, so that it can be reused.
    """
    *earlier, last = cell.stage_keys
    name = f"compress {last}"
    if name not in steps:
        if store.has("artifacts", last):
            return frozenset()
        beginnings = {f"compress {key}" for key in earlier} & steps.keys()
        steps[name] = Step(phase="compress", cell=cell, id=name, needs=needs | beginnings)
    return frozenset({name})
