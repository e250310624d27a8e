"""Rows of a data set of the Hugging Face hub at one commit."""

from __future__ import annotations

from collections.abc import Iterator

from bench.base.errors import DataError
from bench.spec.data import Hub
from bench.tasks.sources.rows import Row, Table


def hub_table(hub: Hub, split: str, *, instead: str) -> Table:
    """The rows of one split; `instead` names a file that could be read in its place, for the message.

    Raises `DataError` if the hub cannot be reached, or has no such data.
    """
    import datasets

    name = hub_name(hub, split)
    given = (hub.id,) if hub.config is None else (hub.id, hub.config)
    pinned = {} if hub.revision is None else {"revision": hub.revision}
    try:
        found = datasets.load_dataset(*given, **pinned, split=hub.splits.get(split, split))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{name} cannot be read: {error}. To work without the hub, pass --data-dir FOLDER with the files in it, "
            f"for example {instead}."
        ) from error
    named = {column: getattr(feature, "names", None) for column, feature in found.features.items()}
    classes = {column: tuple(names) for column, names in named.items() if names}
    return Table(name, tuple(found.column_names), _rows(found, name), [], classes)


def hub_name(hub: Hub, split: str | None = None) -> str:
    """The data set, its configuration and a split, as messages name them."""
    parts = [each for each in (hub.config, split) if each]
    return f"{hub.id} ({', '.join(parts)}) on the hub" if parts else f"{hub.id} on the hub"


def hub_notes(hub: Hub) -> list[str]:
    """What a record says of a data set whose rows may not be the ones that were meant."""
    found = []
    if hub.revision is None:
        found.append(f"no revision of {hub.id} is pinned, so the hub may give other rows later")
    if not hub.verified:
        found.append(f"id and revision of {hub.id} could not be verified when they were written down")
    return found


def _rows(found: object, name: str) -> Iterator[Row]:
    number = 0
    for batch in found.with_format("arrow").iter(batch_size=4096):  # type: ignore[attr-defined]
        for values in batch.to_pylist():
            yield Row(values, name, f"row {number}")
            number += 1
