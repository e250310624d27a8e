"""Dense retrieval: queries and documents become vectors, and each query gets the documents of the largest score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError, ModelError
from bench.tasks.examples import Example
from bench.tasks.features import Batch, Feature
from bench.tasks.heard import numbers, places
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.predictions import KEPT, Ranking, Rankings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from bench.spec.suite import Task

    Array = np.ndarray[Any, Any]


class Retrieval(TaskKind):
    """A bi-encoder: one model reads queries and documents, and the score of two texts is that of their vectors.

    In training each query is told from the others' documents: softmax cross-entropy over the documents of the batch
    (Henderson et al. 2017, arXiv:1705.00652, section 4.4; Karpukhin et al. 2020, arXiv:2004.04906, section 3.2), where
    the scores are multiplied by 20 if they are cosines. A document is no negative example of a query that it, or
    another pair of the same query in the batch, is relevant to.
    """

    name = "retrieval"
    says = "which documents of a collection are relevant to a query"
    head = "embedding"
    predicts = Rankings
    searches = True
    in_batch = True

    @override
    def head_settings(self, task: Task) -> dict[str, Any]:
        told = {"embedding_pooling": task.pooling, "embedding_similarity": task.similarity}
        return {key: value for key, value in told.items() if value is not None}

    @override
    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """A text per feature, or in training the query and its relevant document as two candidates.

        Targets say which query and which document a pair is of, so that pairs of the same one are known in a batch.
        Raises `DataError` for a training example without a document.
        """
        if not examples:
            return []
        cut = {"truncation": True, "max_length": max_length, "padding": False}
        queries = tokenizer([example.text for example in examples], **cut)
        if not training:
            return [
                Feature(inputs={name: queries[name][row] for name in queries}, targets={}, example=row)
                for row in range(len(examples))
            ]
        for example in examples:
            if example.pair is None:
                raise DataError(f"{task.name}: training example {example.uid} has no document beside its query")
        documents = tokenizer([example.pair for example in examples], **cut)
        numbers: dict[str, int] = {}
        return [
            Feature(
                inputs={name: [queries[name][row], documents[name][row]] for name in queries},
                targets={
                    "queries": numbers.setdefault(f"query {example.text}", len(numbers)),
                    "documents": numbers.setdefault(f"document {example.pair}", len(numbers)),
                },
                example=row,
            )
            for row, example in enumerate(examples)
        ]

    @override
    def logits(self, outputs: Any, batch: Batch) -> tuple[Tensor, ...]:
        """Scores of the batch's queries with its documents, [batch, batch]; those of other right ones are lowest."""
        return (_scores(outputs, batch.targets),)

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        import torch
        from torch.nn import functional

        scores = _scores(outputs, targets)  # [batch, batch]
        return functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))

    @override
    def run(self, model: Any, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """The vectors of the texts, [batch, width]."""
        return (model(**batch.inputs).logits,)

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any,
    ) -> Rankings:
        raise DataError("retrieval: queries are answered from a corpus; see `TaskKind.find`")

    @override
    def handed(self, example: Example) -> str:
        """A query or a document."""
        return example.text

    @override
    def heard(self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any) -> Array:
        """Vectors [texts, width] float32, of length 1 unless the task compares them by their dot product."""
        import numpy as np

        where = places(name, examples)
        rows = [numbers(each, None, where=at) for each, at in zip(said, where, strict=True)]
        for row, at in zip(rows, where, strict=True):
            if len(row) != len(rows[0]):
                raise ModelError(f"{at}: expected {len(rows[0])} numbers, as for the first text, found {len(row)}")
        found: Array = np.asarray(rows, dtype=np.float32)
        if task.similarity != "dot":
            found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return found

    @override
    def find(self, queries: Array, documents: Array, uids: Sequence[str]) -> Rankings:
        from bench.tasks.search import search

        hits = search(queries, documents, count=KEPT)
        return Rankings(
            tuple(
                Ranking(tuple(uids[place] for place in places), tuple(scores))
                for places, scores in zip(hits.places.tolist(), hits.scores.tolist(), strict=True)
            )
        )

    @override
    def searched(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        found = {uid: each.pair for each in examples if each.pair is not None for uid, _ in each.relevant[:1]}
        return tuple(Example(uid=uid, text=text) for uid, text in found.items())

    @override
    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        graded = [grade for example in examples for _, grade in example.relevant]
        return {"relevant_per_query": len(graded) / len(examples), "largest_grade": max(graded, default=0)}

    @override
    def truth(self, example: Example) -> dict[str, list[Any]] | None:
        if not example.relevant:
            return None
        return {
            "documents": [uid for uid, _ in example.relevant],
            "grades": [grade for _, grade in example.relevant],
        }

    @override
    def says_hidden(self, hidden: int, total: int, first: str) -> str:
        return (
            f"{hidden} of {total} queries have no relevant documents (first: {first}). Evaluate on a split with "
            "published judgements."
        )

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        if example.label is not None:
            raise DataError(f"{where}: a query has relevant documents and no label, found {example.label!r}")


def _scores(outputs: Any, targets: dict[str, Tensor]) -> Tensor:
    """Scores of every query of a batch with every document, scaled, [batch, batch], in float32."""
    import torch

    vectors = outputs.logits.float()  # [2 * batch, width]: each query, then its document
    scores = vectors[0::2] @ vectors[1::2].T * outputs.scale.float()
    same = [targets[name][:, None] == targets[name][None] for name in ("queries", "documents")]
    other = torch.eye(len(scores), dtype=torch.bool, device=scores.device).logical_not()
    told: Tensor = scores.masked_fill((same[0] | same[1]) & other, torch.finfo(scores.dtype).min)
    return told


KINDS.register(Retrieval.name)(Retrieval())
