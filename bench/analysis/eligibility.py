"""Whether a row may be ranked in a track of a suite, and if not, by which rule and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.analysis.standings import Standing
from bench.analysis.table import Absent
from bench.columns import Column, column
from bench.records.record import Record
from bench.spec.suite import Condition, Track

_METERS = frozenset({"wall meter", "rapl", "nvml", "amdsmi", "pmic", "power gadget"})  # all else is an estimate
_DEVICES = {"cpu": "a CPU", "cuda": "a GPU"}
HOW_TO_MEASURE = (
    "Estimates of energy are not ranked. Run the suite on a machine with a wall meter, RAPL or NVML (see `bench "
    "doctor`), or read the column in `bench table`."
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a row's records say besides their values: on which devices, and which power of its energies is estimated.

    `estimates` maps a column of energy to where its power comes from.
    """

    devices: set[str] = field(default_factory=set)
    estimates: dict[str, str] = field(default_factory=dict)


def evidence(records: Sequence[Record], columns: Sequence[str]) -> dict[tuple[str, str], Evidence]:
    """By model and recipe; `columns` are those that a track reads."""
    found: dict[tuple[str, str], Evidence] = {}
    for record in records:
        row = found.setdefault((record.model, record.recipe), Evidence())
        if "device" in record.machine:
            row.devices.add(str(record.machine["device"]))
        for name in columns:
            source = estimate_source(record, name)
            if source is not None:
                row.estimates[name] = source
    return found


def estimate_source(record: Record, name: str) -> str | None:
    """The power source of the record if its column `name` is an estimated energy; otherwise None."""
    source = _power_source(record, column(name)) if column(name).power and name in record.values else None
    return None if source is None or _METERS.issuperset(source.split(" + ")) else source


def why_unranked(
    row: Standing, track: Track | None, rank: str, seen: Evidence, reference: Standing | None
) -> str | None:
    """Why `row` has no rank, every rule that it breaks; None if it has one.

    Args:
        row: the row.
        track: its rules; None ranks every complete row.
        rank: the column that is ranked by.
        seen: what the row's records say.
        reference: the row of the reference on the same model, if there is one.
    """
    if row.missing is not None:
        return row.missing
    broken = [*_broken(row, track, seen, reference)] if track else []
    if rank in seen.estimates:
        broken.append(f"{rank} is estimated (power source: {seen.estimates[rank]}), not measured")
    unknown = [reason for reason in broken if isinstance(reason, Absent)]
    certain = [reason for reason in broken if isinstance(reason, str)]
    if certain:
        return f"not eligible: {'; '.join(certain)}"
    if unknown:
        return f"eligibility unknown: {unknown[0].reason}"
    value = row.values[rank]
    return value.reason if isinstance(value, Absent) else None


def bounds(condition: Condition) -> tuple[str, ...]:
    """What a condition asks for, in words."""
    name, found = condition.column, []
    if condition.at_most is not None:
        found.append(f"{name} at most {_number(condition.at_most)}")
    if condition.at_least is not None:
        found.append(f"{name} at least {_number(condition.at_least)}")
    if condition.at_least_of_reference is not None:
        found.append(f"{name} at least {condition.at_least_of_reference:.6g} of the reference's")
    return tuple(found)


def rule(track: Track) -> str:
    """The rule of a track as a sentence, and whether it was checked against a source."""
    asked = [bound for condition in track.where for bound in bounds(condition)]
    asked += [f"measured on {_DEVICES[track.device]}"] if track.device else []
    where = f" among rows with {' and '.join(asked)}" if asked else ""
    checked = "" if track.verified else " The bounds were not found in a source of the benchmark."
    notes = "".join(f" {note}" for note in track.notes)
    return f"Track {track.name}: ranked by {track.rank}, {column(track.rank).better} is better{where}.{checked}{notes}"


def _broken(row: Standing, track: Track, seen: Evidence, reference: Standing | None) -> Iterator[str | Absent]:
    """What speaks against the row: sentences for rules that it breaks, absent values for what cannot be decided."""
    wrong = seen.devices - {track.device} if track.device else set()
    if wrong and track.device:
        where = " and ".join(_DEVICES.get(name, name) for name in sorted(wrong))
        yield f"measured on {where}, not on {_DEVICES[track.device]}"
    for condition in track.where:
        value = row.values[condition.column]
        if isinstance(value, Absent):
            yield value
            continue
        yield from _out_of_bounds(condition, value)
        if condition.at_least_of_reference is not None:
            yield from _below_reference(condition.column, value, condition.at_least_of_reference, reference)


def _out_of_bounds(condition: Condition, value: float) -> Iterator[str]:
    name = condition.column
    if condition.at_most is not None and value > condition.at_most:
        yield f"{name} {_number(value)} is above {_number(condition.at_most)}"
    if condition.at_least is not None and value < condition.at_least:
        yield f"{name} {_number(value)} is below {_number(condition.at_least)}"


def _below_reference(name: str, value: float, share: float, reference: Standing | None) -> Iterator[str | Absent]:
    if reference is None:
        yield Absent(f"no row of the reference, of whose {name} at least {share:.6g} is asked for")
        return
    theirs = reference.values[name]
    if isinstance(theirs, Absent):
        yield Absent(f"the reference has no {name}: {theirs.reason}")
        return
    floor = share * theirs
    if value < floor:
        yield (
            f"{name} {value:.6g} is {floor - value:.3g} below the floor of {floor:.6g}, {share:.6g} of the "
            f"reference's {theirs:.6g}"
        )


def _number(value: float) -> str:
    """Whole numbers with every digit, since a bound may be missed by the last one; others with six."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.6g}"


def _power_source(record: Record, shown: Column) -> str:
    """Where the power behind an energy comes from, as the record's conditions say, several joined by +."""
    found = [[str(part[key]) for part in record.conditions.values() if key in part] for key in shown.power]
    return " + ".join(dict.fromkeys(named[0] if named else "not stated" for named in found))
