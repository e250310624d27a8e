"""The data source of Multi30k: captions of photographs in English and German, translated by people."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import DataError, unknown
from bench.spec.suite import Task
from bench.tasks.examples import Example, TaskData
from bench.tasks.sources.source import SOURCES, DataSource, needed_splits
from bench.tasks.sources.text_files import find_text, read_lines

DIRECTIONS = {"de-en": ("de", "en"), "en-de": ("en", "de")}
FILES = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
FOLDERS = ("multi30k", "multi30k/data/task1/raw", "data/task1/raw", ".")
ADVICE = (
    "The files are in the folder data/task1/raw of github.com/multi30k/dataset, "
    "for example at commit a3d2e0d26b56; pass the folder above them with --data-dir."
)


class Multi30kSource(DataSource):
    """Multi30k, task 1 (Elliott et al. 2016, arXiv:1605.00459); `data.subset` is the direction, `de-en` or `en-de`.

    29,000 sentence pairs for training, 1,014 for validation, and 1,000 of the 2016 test set. From files only: the
    copies on the hub that we know are not by the authors, and none of their revisions could be verified.
    """

    name = "multi30k"

    def load(self, task: Task, *, data_dir: Path | None) -> TaskData:
        """Every split the task names; raises `DataError` for missing files and for sides of unequal length."""
        where = f"tasks.{task.name}"
        if task.data.subset not in DIRECTIONS:
            raise unknown("Multi30k direction", task.data.subset, DIRECTIONS, where=f"{where}.data.subset")
        if data_dir is None:
            raise DataError(f"{where}: Multi30k is read from local files only, and none were given. {ADVICE}")
        splits, files = {}, []
        for split in needed_splits(task):
            if split not in FILES:
                raise DataError(f"{where}: Multi30k has no split '{split}', only {', '.join(FILES)}")
            sides = [side_file(data_dir, split, language) for language in DIRECTIONS[task.data.subset]]
            splits[split] = _pairs(split, *sides)
            files += [path.relative_to(data_dir).as_posix() for path in sides]
        return TaskData(splits=splits, origin=f"local files {', '.join(files)}", revision=None, generated=False)


def side_file(data_dir: Path, split: str, language: str) -> Path:
    """The file of one language of one of the splits `FILES`; raises `DataError` that names every path looked for."""
    names = [f"{folder}/{FILES[split]}.{language}" for folder in FOLDERS]
    return find_text(data_dir, names, what=f"the '{split}' split of Multi30k in '{language}'", advice=ADVICE)


def _pairs(split: str, source: Path, target: Path) -> tuple[Example, ...]:
    """Line by line; a pair with an empty side is refused, as it would shift nothing but teach nothing."""
    lines, translated = read_lines(source), read_lines(target)
    if len(lines) != len(translated):
        raise DataError(
            f"{source} has {len(lines)} lines and {target} {len(translated)}; "
            "each line must be the translation of the same line in the other file"
        )
    for number, pair in enumerate(zip(lines, translated, strict=True), start=1):
        if not all(pair):
            raise DataError(f"{source}:{number}: this line or its translation in {target.name} is empty")
    return tuple(
        Example(uid=f"{split}-{row}", text=text, target=other)
        for row, (text, other) in enumerate(zip(lines, translated, strict=True))
    )


SOURCES.register(Multi30kSource.name)(Multi30kSource())
