"""The predictions of both models as a table stored with a record: its columns, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import DataError, RecordError
from bench.records.tables import Table, read_table, table_path
from bench.tasks.kinds.kind import form_of
from bench.tasks.predictions import Predictions

TABLE = "predictions"
COLUMNS = ("split", "uid", "truth", "artifact", "reference")


@dataclass(frozen=True, kw_only=True)
class SplitPredictions:
    """What both models said of the examples of one split, in the order of the data.

    `truth` holds per example what `TaskKind.truth` gives: one class index, score, list of accepted answers or target
    text, None if it is hidden and if, as in language modelling, the text itself is what is predicted.
    """

    uids: tuple[str, ...]
    truth: tuple[Any, ...]
    artifact: Predictions
    reference: Predictions


def prediction_table(splits: Mapping[str, SplitPredictions]) -> Table:
    """Both models' predictions by split, as a table that `read_predictions` reads.

    Columns: `split`, `uid`, `truth`, and `artifact` and `reference`, one value per example as the form of the
    predictions stores it.
    """
    table: Table = {name: [] for name in COLUMNS}
    for split, said in splits.items():
        table["split"] += [split] * len(said.uids)
        table["uid"] += said.uids
        table["truth"] += said.truth
        table["artifact"] += said.artifact.stored()
        table["reference"] += said.reference.stored()
    return table


def read_predictions(record_path: Path, name: str = TABLE) -> dict[str, SplitPredictions]:
    """What both models said, by split, from a table made by `prediction_table`; errors as in `read_table`."""
    table, path = read_table(record_path, name), table_path(record_path, name)
    absent = [column for column in COLUMNS if column not in table]
    if absent:
        raise RecordError(f"{path}: not a table of predictions: no column {', '.join(absent)}")
    places: dict[str, list[int]] = {}
    for row, split in enumerate(table["split"]):
        places.setdefault(split, []).append(row)
    return {
        split: SplitPredictions(
            uids=tuple(table["uid"][row] for row in rows),
            truth=tuple(table["truth"][row] for row in rows),
            artifact=_predictions([table["artifact"][row] for row in rows], path),
            reference=_predictions([table["reference"][row] for row in rows], path),
        )
        for split, rows in places.items()
    }


def _predictions(stored: list[Any], path: Path) -> Predictions:
    try:
        return form_of(stored[0]).read(stored)
    except DataError as error:
        raise RecordError(f"{path}: {error}") from error
