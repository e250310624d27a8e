"""How many seeds a number rests on, and which differences may be called with so many."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic import ValidationError

from bench.columns import column
from bench.methods.base.method import METHODS
from bench.records.record import Record, StageLog

MORE = "run more seeds (`bench run SUITE --seed 0 --seed 1 --seed 2`)"
NOT_CALLED = (
    "one seed: not called. The recipe trains, and an interval over examples of one trained model does not say what "
    f"another seed would give: {MORE}"
)


def trains(record: Record) -> bool:
    """Whether another seed may give another artifact of the same reference: a stage trains or draws.

    A stage of an unknown method, or one whose arguments are not valid any more, counts as one that does.
    """
    return any(map(_seeded, record.stages))


def uncalled(name: str, sides: Iterable[Mapping[tuple[str, int], Record]], tasks: Sequence[str]) -> str | None:
    """Why a difference in a column between two sides of one seed is not called; None if it may be.

    Only scores differ from seed to seed so much that this matters: costs follow from the form that a recipe asks for.
    Two sides may be compared on one seed if they are one trained model: nothing was trained or drawn after the same
    reference. Their difference is then one over the examples, of that model alone.
    """
    if not column(name).is_score:
        return None
    cells = [{cell: record for cell, record in side.items() if cell[0] in tasks} for side in sides]
    if len({seed for side in cells for _, seed in side}) > 1:
        return None
    records = [record for side in cells for record in side.values()]
    if any(map(trains, records)):
        return NOT_CALLED
    for task in tasks:
        found = {_reference(record) for record in records if record.task == task}
        if len(found) > 1:
            return (
                f"one seed: not called. The two sides have references of {task} that were trained apart, and one seed "
                f"does not say how much of the difference comes from that: {MORE}"
            )
    return None


def known(seeds: Sequence[int], trained: Iterable[bool]) -> str:
    """What intervals of scores over these seeds know; `trained` says of each recipe but the reference if it trains."""
    if len(seeds) == 2:
        return (
            "Scores rest on two seeds: the values of both stand in round brackets in place of an interval, and "
            "differences are tested over seeds and examples."
        )
    if len(seeds) > 2:
        return f"Intervals of scores are over examples and {len(seeds)} seeds."
    kinds = set(trained)
    said = ["Intervals of scores are over examples only: one seed."]
    if True in kinds:
        said.append("They do not say what another seed would give: no difference of a recipe that trains is called.")
    if False in kinds:
        said.append(
            "A recipe that trains nothing shares its weights with the reference: their difference is paired over "
            "examples of one trained model, and speaks of that model."
        )
    return " ".join(said)


def known_briefly(seeds: int) -> str:
    """The same in a few words: what an interval is over."""
    if seeds == 1:
        return "over examples, one seed"
    return "two seeds, with both values in round brackets" if seeds == 2 else f"over examples and {seeds} seeds"


def compared(seeds: Collection[int], trained: bool) -> str:
    """What the intervals of a comparison over these seeds know; `trained` says whether one of its recipes trains."""
    if len(seeds) > 1:
        return f"Differences of scores are tested over {len(seeds)} seeds and the examples, paired by seed."
    called = "is not called" if trained else "is one over examples of one trained model, and speaks of that model"
    return f"One seed: a difference of scores {called}."


def bars(seeds: int) -> str:
    """What the bars of scores in a picture are."""
    if seeds == 1:
        return "score bars: 95 % over examples of one seed"
    return "score bars: both seeds" if seeds == 2 else f"score bars: 95 % over examples and {seeds} seeds"


def _seeded(stage: StageLog) -> bool:
    if stage.method not in METHODS.names():
        return True
    try:
        return METHODS.get(stage.method).model_validate(stage.arguments).seeded()
    except ValidationError:
        return True


def _reference(record: Record) -> str:
    """What identifies the trained reference; empty for a record that does not say."""
    found = record.provenance.get("reference", {})
    return str(found.get("content_hash", "")) if isinstance(found, Mapping) else ""
