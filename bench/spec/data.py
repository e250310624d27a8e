"""Where the rows of a task are and how to read them, as data: keys of a task's `data` table or of a data set's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.base.errors import SuiteError
from bench.base.schema import Frozen, read_toml, validated
from bench.base.shelf import Shelf

DATASETS_DIR = Path(__file__).parent.parent / "datasets"
DATASETS = Shelf("data set", folder=DATASETS_DIR, group="bench.datasets", nested=True)

Role = Literal[
    "text",  # the only or the first text; the question of span QA, the premise of multiple choice
    "pair",  # the second text; the context of span QA
    "label",  # a class name, an index, a score, or a list of them
    "target",  # the text to write
    "uid",  # what names the row; without it rows are counted
    "group",  # what scores are also reported by, such as the heuristic of HANS
    "choices",  # the candidates: a column with a list, or one column or template per candidate
    "answers",  # reference answers: SQuAD's lists, or strings
    "start",  # the character at which the answer starts, if `answers` is a plain string
    "relevant",  # for retrieval, the ids of relevant documents, with their grades if they are graded
]
Format = Literal["csv", "tsv", "jsonl", "json", "parquet", "text", "document", "smart"]
PREDEFINED_SPLITS = ("train", "validation", "test")


class Hub(Frozen):
    """A data set of the Hugging Face hub at one commit.

    `splits` gives the hub's name of a split that is called otherwise here; `verified` is False if id and revision
    could not be looked up when they were written down.
    """

    id: str
    config: str | None = None
    revision: str | None = None
    splits: dict[str, str] = Field({}, description="our name of a split -> the hub's, such as validation[:50%]")
    verified: bool = True


class SplitOff(Frozen):
    """Splits cut out of another split by a seed, for data that come without them; what is left keeps its name."""

    of: str = "train"
    seed: int = 0
    by: str | None = Field(None, description="column whose values stay together, so that no text is in two splits")
    shares: dict[str, float] = Field(min_length=1, description="new split -> its share of the rows, in (0, 1)")

    @field_validator("shares")
    @classmethod
    def _leave_something(cls, shares: dict[str, float]) -> dict[str, float]:
        if any(not 0 < share < 1 for share in shares.values()) or sum(shares.values()) >= 1:
            raise ValueError(f"every share is above 0 and together they stay below 1, found {shares}")
        return shares


class TableData(Frozen):
    """Rows in files or on the hub, and which of their columns mean what.

    Paths are relative to the user's data folder. `files` names the file of each split: a path, a folder, a pattern
    (`part-*.csv`), or a list of alternatives of which the first that exists counts; a name without a known ending gets
    each of them, with and without `.gz`. Each is looked for in every one of `folders`, in their order.
    """

    hub: Hub | None = None
    folders: tuple[str, ...] = Field((".",), min_length=1)
    files: dict[str, str | tuple[str, ...]] = Field({}, description="split -> file, folder, pattern or alternatives")
    beside: dict[str, dict[str, str | tuple[str, ...]]] = Field(
        {}, description="column -> files, line by line beside `files`, as translations are distributed"
    )
    format: Format | None = Field(None, description="by the file's ending if absent")
    encoding: str | None = Field(None, description="UTF-8, or what a byte order mark says, if absent")
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quotes: bool = Field(True, description="False if quote characters are text, as in GLUE's tables")
    header: tuple[str, ...] = Field(
        (), description="names of the columns of a file that has no header line, or of JSON rows that are lists"
    )
    rows: str | tuple[str, ...] | dict[str, str | tuple[str, ...]] | None = Field(
        None,
        description="path to the rows inside JSON, such as data[].paragraphs[].qas[]; several are read one after the "
        "other; a table has those of each split; columns are paths, too",
    )
    folder_column: str | None = Field(
        None, description="name of a further column: the folder that a row's file is in, such as its class"
    )
    columns: dict[Role, str | tuple[str, ...]] = Field(
        {}, description="what each column is; a list holds alternatives; {a} {b} joins columns"
    )
    labels: tuple[str, ...] = Field((), description="names of the classes in the order of their indices in the data")
    labels_from: str | None = Field(None, description="a file that lists them: JSON, or one per line")
    label_names: dict[str, str] = Field({}, description="spelling in the data -> name of the class")
    hidden: tuple[str, ...] = Field(("-1",), description="values of the label column that mean 'not published'")
    scores: tuple[float, float] | None = Field(None, description="least and largest score")
    keep: dict[str, tuple[str, ...]] = Field({}, description="only rows in which a column has one of these values")
    leave_out: dict[str, tuple[str, ...]] = Field({}, description="no rows in which a column has one of these values")
    drop_malformed: bool = Field(False, description="leave out lines with a wrong number of fields, and count them")
    cut: SplitOff | None = None
    transform: dict[str, Any] | str | None = Field(
        None, description="a registered transform of rows: its name, or a table with its arguments"
    )
    corpus: TableData | None = Field(None, description="for retrieval: the documents, with `uid` and `text`")
    judgements: TableData | None = Field(
        None, description="for retrieval: rows of a query's `uid`, a `relevant` document's and a grade as `label`"
    )

    def of_split(self, split: str) -> TableData:
        """The same with the paths to the rows of one split; raises `SuiteError` if none are stated for it."""
        if not isinstance(self.rows, dict):
            return self
        if split not in self.rows:
            raise SuiteError(f"data.rows: no path for the split '{split}', only for {', '.join(self.rows)}")
        return self.model_copy(update={"rows": self.rows[split]})


class DataSet(TableData):
    """The file of a data set: how it is read, and what people should know of it."""

    title: str
    cite: str
    licence: str
    sizes: dict[str, int] = Field({}, description="rows per split, as published")
    notes: tuple[str, ...] = Field((), description="leakage, missing parts, and what else changes what a score means")
    local: bool = Field(False, description="True if it can be read from files only")


def read_dataset(name: str, *, where: str | None = None) -> DataSet:
    """The data set called `name`, such as `glue/sst2`.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest. SuiteError: its file is not valid.
    """
    path = DATASETS.path(name, where=where)
    return validated(DataSet, read_toml(path), where=DATASETS.shown(path))


class Source(TableData):
    """Where a task's data come from.

    A source, with the subset in it: a registered source (`generated`), or the folder and the name of a data set
    (`glue`, `sst2`), of which keys given here replace single ones. Without a source, the keys of `TableData` say it
    all. `data = "glue/sst2"` is short for both names.
    """

    source: str = "table"
    subset: str = ""
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        source, slash, subset = data.partition("/")
        if not slash:
            raise ValueError(f"expected SOURCE/SUBSET, such as glue/sst2, or a table; found {data!r}")
        return {"source": source, "subset": subset}

    @property
    def dataset(self) -> str | None:
        """The name of its data set, if there is a file of that name."""
        name = f"{self.source}/{self.subset}"
        return name if name in DATASETS.names() else None


class Shifted(Frozen):
    """A shifted or adversarial set on which a task's model is scored too, without being tuned to it.

    `fold` maps labels of the task to labels of the set, if these are others: HANS has two, MNLI three. A label that it
    does not name keeps its name; the probabilities of labels that become one are summed. `altered` is for sets that
    hold each altered example beside the one it was made from, whose id is what the pattern leaves of its own.
    """

    data: Source
    split: str = "validation"
    title: str = ""
    fold: dict[str, str] = Field({}, description="label of the task -> label of the set")
    altered: str | None = Field(None, description="regular expression for the end of the id of an altered example")
    examples: int | None = Field(None, ge=1, description="subsample; None is the full set")
