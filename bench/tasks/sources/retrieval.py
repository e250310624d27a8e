"""Retrieval: queries, documents and judgements, read from tables, as the splits of a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.base.errors import DataError
from bench.spec.data import Role, TableData
from bench.spec.suite import Task
from bench.tasks.examples import CORPUS, Example, TaskData
from bench.tasks.sources.labels import spelled
from bench.tasks.sources.mapping import paths_in
from bench.tasks.sources.reader import TableReader
from bench.tasks.sources.rows import MISSING, Row, no_column, value_at


class Judgement(NamedTuple):
    """How relevant a document is to a query: `grade` above 0 if it is; `where` is the place in the file."""

    query: str
    document: str
    grade: int
    where: str


class Joined(NamedTuple):
    """The splits of a retrieval task, the documents among them, and notes on what was left out."""

    splits: dict[str, tuple[Example, ...]]
    notes: tuple[str, ...]


def retrieval_data(data: TableData, task: Task, data_dir: Path | None) -> TaskData:
    """The data of a task whose `data` state a corpus and judgements; see `joined`.

    Judgements of a split that is cut out of another are those of the other one. Raises `DataError` as `TableReader`
    does, for a grade that is not a whole number, and as `joined` does.
    """
    if data.corpus is None or data.judgements is None:
        raise DataError(
            f"tasks.{task.name}.data: retrieval needs a corpus and judgements; add corpus = {{ … }} with the columns "
            "uid and text, and judgements = { … } with the columns uid, relevant and, if they are graded, label"
        )
    queries = TableReader(data, task, data_dir).data()
    whole = task.model_copy(update={"train": CORPUS, "evaluate": (CORPUS,), "ood": (), "threshold": None})
    documents = TableReader(data.corpus, whole.model_copy(update={"trained_on": None}), data_dir).data()
    reading = TableReader(data.judgements, task, data_dir)
    found = joined(
        queries.splits,
        documents.splits[CORPUS],
        {split: _judgements(data, reading, split) for split in queries.splits},
        train=task.train if task.trained_on is None else None,
        name=f"tasks.{task.name}",
    )
    return dataclasses.replace(
        queries,
        splits=found.splits,
        origin=f"{queries.origin}; documents of {documents.origin}; judgements of {reading.origin()}",
        notes=(*queries.notes, *documents.notes, *found.notes),
        warnings=(*queries.warnings, *documents.warnings),
    )


def _judgements(data: TableData, reading: TableReader, split: str) -> Iterator[Judgement]:
    judged = data.judgements or TableData()
    stated = {*judged.files, *(judged.hub.splits if judged.hub else ())}
    if data.cut is not None and split in data.cut.shares and split not in stated:
        split = data.cut.of
    for row in reading.table(split).rows:
        grade = spelled(_value(row, "label", judged)) if "label" in judged.columns else "1"
        named = judged.label_names.get(grade, grade)
        try:
            number = int(named)
        except ValueError as error:
            raise DataError(
                f"{row.where}: the grade is {grade!r}; expected a whole number, 0 for not relevant"
            ) from error
        query, document = spelled(_value(row, "uid", judged)), spelled(_value(row, "relevant", judged))
        yield Judgement(query, document, number, row.where)


def _value(row: Row, role: Role, data: TableData) -> Any:
    stated = data.columns.get(role, role)
    names = (stated,) if isinstance(stated, str) else stated
    for name in names:
        value = value_at(row.values, name)
        if value is not MISSING:
            return value
    raise no_column(row.where, names, paths_in(row.values), taken=set())


def joined(
    queries: Mapping[str, Sequence[Example]],
    corpus: Sequence[Example],
    judgements: Mapping[str, Iterable[Judgement]],
    *,
    train: str | None,
    name: str,
) -> Joined:
    """The examples of every split of queries, with the corpus as the split `CORPUS`.

    A query that is evaluated gets the documents that are `relevant` to it, with their grades. The training split has
    one example per query and relevant document, with the document's text as `pair`. Queries without a relevant
    document are left out, as BEIR and trec_eval leave out those without judgements.

    Args:
        queries: by split; a split may list queries of other splits, of which it has no judgements.
        corpus: all documents.
        judgements: by split.
        train: the split that is trained on, None if none is.
        name: the task's, for messages.

    Raises:
        DataError: two documents of one id, a judgement of a document that is not in the corpus, or a split without a
            judged query.
    """
    documents = {document.uid: document for document in corpus}
    if len(documents) < len(corpus):
        raise DataError(f"{name}: {len(corpus) - len(documents)} documents have an id that another document has")
    splits: dict[str, tuple[Example, ...]] = {}
    notes: list[str] = []
    for split, asked in queries.items():
        relevant = _relevant(judgements[split], documents, name=name)
        judged = [
            dataclasses.replace(query, relevant=tuple(relevant[query.uid])) for query in asked if query.uid in relevant
        ]
        if not judged:
            raise DataError(
                f"{name}: split '{split}': none of its {len(asked)} queries has a relevant document. Check that the "
                "ids of queries are those of the judgements."
            )
        if len(judged) < len(asked):
            notes.append(f"{split}: {len(judged)} of {len(asked)} queries have relevant documents; others are left out")
        splits[split] = tuple(_pairs(judged, documents) if split == train else judged)
    return Joined({**splits, CORPUS: tuple(corpus)}, tuple(notes))


def _relevant(
    judgements: Iterable[Judgement], documents: Mapping[str, Example], *, name: str
) -> dict[str, list[tuple[str, int]]]:
    """The relevant documents of each query with their grades, in the order of the judgements."""
    found: dict[str, dict[str, int]] = {}
    for judgement in judgements:
        if judgement.document not in documents:
            raise DataError(
                f"{judgement.where}: document '{judgement.document}' is judged, but it is not among the "
                f"{len(documents)} documents of {name}. Give the corpus that the judgements are of."
            )
        if judgement.grade > 0:
            found.setdefault(judgement.query, {})[judgement.document] = judgement.grade
    return {query: list(graded.items()) for query, graded in found.items()}


def _pairs(judged: Sequence[Example], documents: Mapping[str, Example]) -> list[Example]:
    return [
        Example(uid=f"{query.uid}/{uid}", text=query.text, pair=documents[uid].text, relevant=((uid, grade),))
        for query in judged
        for uid, grade in query.relevant
    ]
