"""GLUE from the Hugging Face hub, at one pinned commit."""

from __future__ import annotations

from collections.abc import Iterator

from bench.base.errors import DataError
from bench.tasks.sources.tables import RawRow, Subset

REPOSITORY = "nyu-mll/glue"
REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"  # Parquet files, so no loading script is run


def hub_rows(subset: Subset, config: str, split: str) -> Iterator[RawRow]:
    """The rows of one split of the hub's configuration `config`.

    Raises `DataError` if the hub cannot be reached, or holds other labels or columns than expected.
    """
    import datasets

    where = f"{REPOSITORY} ({config}, {split}) on the hub"
    try:
        table = datasets.load_dataset(REPOSITORY, config, revision=REVISION, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{where} cannot be read: {error}. To work without the hub, pass --data-dir FOLDER with the files of GLUE "
            f"in it, for example FOLDER/{subset.folders[0]}/{subset.files[split][0]}.tsv."
        ) from error
    text, label = subset.text[0], subset.label[0]
    pair = subset.pair[0] if subset.pair else None
    missing = {text, label, *([pair] if pair else [])} - set(table.column_names)
    if missing:
        raise DataError(f"{where}: no column {', '.join(sorted(missing))}. Found: {', '.join(table.column_names)}.")
    names = tuple(getattr(table.features[label], "names", subset.labels))
    if names != subset.labels:
        raise DataError(f"{where}: expected the labels {', '.join(subset.labels)}, found {', '.join(names)}")
    for index, row in enumerate(table):
        yield RawRow(row[text], row[pair] if pair else None, row[label], f"{where}, row {index}")
