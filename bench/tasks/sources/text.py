"""The data source of text for language modelling: any folder with one text per line in a file per split."""

from __future__ import annotations

from bench.spec.data import TableData
from bench.spec.suite import Task
from bench.tasks.sources.formats import TEXT
from bench.tasks.sources.source import SOURCES, needed_splits
from bench.tasks.sources.table import TableSource

_STEMS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


class TextSource(TableSource):
    """One text per line; lines without text are left out.

    `data.subset` names a data set of text, or any folder below the data folder with one file per split, named as in
    PTB (`ptb.train.txt`), in WikiText (`wiki.train.tokens`) or just `train.txt`. Subsampling takes single lines, so do
    not use it for running text.
    """

    name = "text"
    names_labels = False

    def table(self, task: Task) -> TableData:
        """The data set's own description, or the names that a folder's files usually have."""
        if task.data.dataset is not None:
            return super().table(task)
        files = {split: text_names(_STEMS.get(split, (split,))) for split in needed_splits(task)}
        return TableData(format=TEXT, folders=(task.data.subset,), files=files)


def text_names(stems: tuple[str, ...]) -> tuple[str, ...]:
    """The names that the file of a split may have."""
    return tuple(
        name for stem in stems for name in (f"{stem}.txt", f"wiki.{stem}.tokens", f"wiki.{stem}.raw", f"ptb.{stem}.txt")
    )


SOURCES.register(TextSource.name)(TextSource())
