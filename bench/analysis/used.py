"""What recipes used besides the data of their tasks, such as augmented texts or a corpus, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.record import Record, StageLog


def used(records: Sequence[Record]) -> tuple[str, ...]:
    """One sentence per recipe and stage that used something, with the tasks of the records that say the same."""
    tasks: dict[str, list[str]] = {}
    for record in records:
        for number, stage in enumerate(record.stages, start=1):
            if stage.counts or stage.notes:
                place = f"stage {number}, {stage.method}" if len(record.stages) > 1 else stage.method
                tasks.setdefault(f"{record.recipe} ({place}) used {_said(stage)}", []).append(record.task)
    return tuple(f"On {', '.join(dict.fromkeys(on))}, {says}" for says, on in tasks.items())


def _said(stage: StageLog) -> str:
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(stage.counts.items()))
    return " ".join([f"{counts}." if counts else "more than the task's data.", *stage.notes])
