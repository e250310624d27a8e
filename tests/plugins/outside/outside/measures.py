"""A measure with a column of its own, and a source of replacements for the measure `attack`."""

from __future__ import annotations

from bench.columns import COLUMNS, Column
from bench.measures.base.measure import MEASURES, Measure, Reading
from bench.measures.robustness.attacks.source import ATTACK_SOURCES

COLUMNS.register(
    Column(
        "layers_run",
        says="layers that run for one example",
        kind="count",
        show="count",
        unit="layer",
        better="lower",
        source="the package outside",
        oracle="tests of the package outside",
    )
)


class Depth(Measure):
    """Counts the layers that run."""

    name = "depth"
    columns = ("layers_run",)
    says = "layers that run"
    budget_s = 1.0

    def read(self, pair):
        from bench.models.adapter import adapter_for

        mine, theirs = (adapter_for(side.model).depth(side.model) for side in (pair.artifact, pair.reference))
        reading = Reading()
        reading.give("layers_run", mine, reference=theirs)
        return reading


@ATTACK_SOURCES.register("shouting")
class Shouting:
    """Words in capital letters."""

    kind = "typing"

    def open(self, ground):
        return self

    def of(self, word):
        return (word.upper(),) if word.islower() else ()


MEASURES.register(Depth.name)(Depth())
