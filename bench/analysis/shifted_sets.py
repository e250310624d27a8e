"""The shifted sets of records as a table: a row per record, set and part of the set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.analysis.membership import told_apart
from bench.analysis.table import Absent, ResultTable, TableCell, failure_note, flags_of, identified, in_order
from bench.base.errors import RecordError
from bench.records.record import Failure, Record

WHOLE = "all"
_ALTERED = {"original": "original", "altered": "altered", "worst": "worst version"}
_OF_WHOLE = Absent("the gap is that of the whole set")


def by_set(records: Sequence[Record], failures: Sequence[Failure] = ()) -> ResultTable:
    """One row per record and shifted set, followed by the groups and the altered examples of the set.

    Raises `RecordError` if no record has results on shifted data.
    """
    records, failures, shared = told_apart(records, failures)
    rows = [row for record in in_order(records) for row in _rows(record)]
    if not rows:
        raise RecordError(
            "no record has the scores of single shifted sets. Name some in the tasks of the suite, with `ood` or "
            "`shifted`, and run it; records of before they were kept do not have them."
        )
    flags = flags_of(records)
    return ResultTable(
        title="Shifted data",
        columns=(
            *identified(records[0]),
            *("set", "part", "examples", "ood_quality", "ood_gap", "ood_relative_bias"),
            *(("flags",) if flags else ()),
        ),
        rows=tuple(rows),
        notes=(*shared, *map(failure_note, failures)),
        flags=flags,
        generated=any(record.generated for record in records),
    )


def _rows(record: Record) -> Iterator[dict[str, TableCell]]:
    sets: Mapping[str, Any] = record.conditions.get("robustness", {}).get("sets", {})
    flags = ", ".join(sorted({flag.code for flag in record.warnings}))
    for name, found in sets.items():
        place: dict[str, TableCell] = {**identified(record), "set": name, "flags": flags}
        yield {
            **place,
            "part": WHOLE,
            "examples": found["examples"],
            "ood_quality": _number(found["quality"]["artifact"]),
            "ood_gap": _number(found["gap"]["artifact"]),
            "ood_relative_bias": _number(found["relative_bias"]),
        }
        for part, scores in _parts(found):
            quality = scores.get("quality", Absent(str(scores.get("absent", "not measured"))))
            more = {"part": part, "examples": scores["examples"], "ood_quality": quality}
            yield {**place, **more, "ood_gap": _OF_WHOLE, "ood_relative_bias": _OF_WHOLE}


def _parts(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The groups of a set, then its original and altered examples, as far as the artifact has scores of them."""
    yield from found.get("groups", {}).get("artifact", {}).items()
    altered = found.get("altered", {}).get("artifact", {})
    if isinstance(altered, Mapping):
        yield from ((said, altered[name]) for name, said in _ALTERED.items() if isinstance(altered.get(name), Mapping))


def _number(found: float | str) -> TableCell:
    return Absent(found) if isinstance(found, str) else found
