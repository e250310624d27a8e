"""Queries, documents and judgements as the splits of a retrieval task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.base.errors import DataError
from bench.tasks.examples import CORPUS, Example


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
