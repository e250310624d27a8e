"""The data source of text for language modelling: local files, WikiText, PTB, one side of Multi30k."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.examples import Example, TaskData
from bench.tasks.sources.multi30k import FILES, side_file
from bench.tasks.sources.source import SOURCES, DataSource, needed_splits
from bench.tasks.sources.text_files import find_text, read_lines

REPOSITORY = "Salesforce/wikitext"
REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"  # Parquet files, so no loading script is run
WIKITEXT = ("wikitext-2-v1", "wikitext-2-raw-v1", "wikitext-103-v1", "wikitext-103-raw-v1")
_STEMS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_MULTI30K = "multi30k-"


class TextSource(DataSource):
    """One text per line; lines without text are left out.

    `data.subset` names the corpus: `multi30k-en` or `multi30k-de`; one of `WIKITEXT` (Merity et al. 2016,
    arXiv:1609.07843), from files or from the hub; or any folder below the data folder with one file per split, named as
    in PTB (`ptb.train.txt`), in WikiText (`wiki.train.tokens`) or just `train.txt`. Subsampling takes single lines, so
    do not use it for running text.
    """

    name = "text"

    def load(self, task: Task, *, data_dir: Path | None) -> TaskData:
        """Every split the task names; raises `DataError` for text that is missing or cannot be read."""
        subset, where = task.data.subset, f"tasks.{task.name}"
        wanted = needed_splits(task)
        if data_dir is None:
            if subset not in WIKITEXT:
                raise DataError(
                    f"{where}: the corpus '{subset}' is read from local files only. Pass --data-dir FOLDER, or choose "
                    f"a corpus from the hub: {', '.join(WIKITEXT)}."
                )
            splits = {split: _examples(split, _hub_lines(subset, split)) for split in wanted}
            origin, revision = f"{REPOSITORY}, {subset}, on the hub", REVISION
        else:
            paths = {split: _file(subset, split, data_dir, where=where) for split in wanted}
            splits = {split: _examples(split, read_lines(path)) for split, path in paths.items()}
            named = ", ".join(path.relative_to(data_dir).as_posix() for path in paths.values())
            origin, revision = f"local files {named}", None
        return TaskData(splits=splits, origin=origin, revision=revision, generated=False)


def _examples(split: str, lines: Iterable[str]) -> tuple[Example, ...]:
    """The lines with text in them, each numbered by its place among all."""
    return tuple(Example(uid=f"{split}-{row}", text=line) for row, line in enumerate(lines) if line.strip())


def _file(subset: str, split: str, data_dir: Path, *, where: str) -> Path:
    if subset.startswith(_MULTI30K):
        if split not in FILES:
            raise DataError(f"{where}: Multi30k has no split '{split}', only {', '.join(FILES)}")
        return side_file(data_dir, split, subset.removeprefix(_MULTI30K))
    folders = [subset, subset.removesuffix("-v1"), f"wikitext/{subset}"] if subset in WIKITEXT else [subset]
    names = [
        f"{folder}/{name}"
        for folder in folders
        for stem in _STEMS.get(split, (split,))
        for name in (f"{stem}.txt", f"wiki.{stem}.tokens", f"wiki.{stem}.raw", f"ptb.{stem}.txt")
    ]
    return find_text(data_dir, names, what=f"the '{split}' split of '{subset}'")


def _hub_lines(subset: str, split: str) -> list[str]:
    """The lines of one split of WikiText on the hub; raises `DataError` if it cannot be reached."""
    import datasets

    try:
        table = datasets.load_dataset(REPOSITORY, subset, revision=REVISION, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{REPOSITORY} ({subset}, {split}) on the hub cannot be read: {error}. To work without the hub, pass "
            f"--data-dir FOLDER with the files in it, for example FOLDER/{subset}/wiki.{split}.tokens."
        ) from error
    return [str(line).strip() for line in table["text"]]


SOURCES.register(TextSource.name)(TextSource())
