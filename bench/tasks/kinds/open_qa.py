"""Open question answering: a question in, an answer out, by a program that holds all it needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import CORPUS, Example
from bench.tasks.features import Batch, Feature
from bench.tasks.heard import texts_said
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.kinds.span_qa import SpanQA
from bench.tasks.predictions import WrittenAnswers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.spec.suite import Task

_LEAST_LENGTH = 24


class OpenQA(TaskKind):
    """The model is a program of `bench.models.answering`: its answers come out of what it has stored.

    The reference looks for passages and reads them. Its passages are the second texts of the training examples and of
    the corpus; the questions that have one teach the reader, as in span QA. A question without one has only its
    answers, which other programs learn from.
    """

    name = "open_qa"
    says = "the answer to a question, without a text that holds it"
    usual_metrics = ("exact_match",)
    needs = ("answers",)
    head = "question-answering"
    predicts = WrittenAnswers
    over_tokens = True
    self_contained = True

    @override
    def training_splits(self, task: Task) -> tuple[str, ...]:
        return (task.train,) if task.train == CORPUS else (task.train, CORPUS)

    @override
    def completed(
        self,
        model: nn.Module,
        examples: Sequence[Example],
        tokenizer: Any,
        *,
        task: Task,
        max_length: int,
        like: nn.Module | None = None,
    ) -> nn.Module:
        """The program that looks for passages and reads them with `model`.

        Raises `DataError` if no example has a passage.
        """
        from bench.models.answering.retriever_reader import RetrieverReaderForQuestionAnswering, look_up, with_reader

        if isinstance(like, RetrieverReaderForQuestionAnswering):
            return with_reader(like, model)
        return look_up(
            model, passages_of(examples, where=task.name), tokenizer, row_length=max_length - question_room(max_length)
        )

    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """With `training`, windows of the questions that have a passage; else the questions, cut to fit before one.

        Raises `DataError` if `max_length` is below 24, or if there is no question with a passage to train on.
        """
        if max_length < _LEAST_LENGTH:
            raise DataError(
                f"{task.name}: max_length {max_length} leaves no room for a question and a passage. Use "
                f"{_LEAST_LENGTH} or more."
            )
        if training:
            return self._lessons(examples, tokenizer, task=task, max_length=max_length)
        questions = [example.text.strip() for example in examples]
        encoded = tokenizer(questions, truncation=True, max_length=question_room(max_length), padding=False)
        names = ("input_ids", "attention_mask")
        return [
            Feature(inputs={name: encoded[name][row] for name in names}, targets={}, example=row)
            for row in range(len(examples))
        ]

    def _lessons(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> list[Feature]:
        places = [place for place, example in enumerate(examples) if example.pair is not None and example.answers]
        if not places:
            raise DataError(
                f"{task.name}: no training example has a passage, so there is nothing to learn to read from"
            )
        windows = SpanQA().encode(
            [examples[place] for place in places], tokenizer, task=task, max_length=max_length, training=True
        )
        return [
            Feature(
                inputs={**window.inputs, "passage_mask": [int(span is not None) for span in window.offsets or ()]},
                targets=window.targets,
                example=places[window.example],
                offsets=window.offsets,
            )
            for window in windows
        ]

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """As in span QA: the mean of the cross-entropies of the start and of the end position, in nats."""
        return SpanQA().loss(outputs, targets)

    @override
    def logits(self, outputs: Any, batch: Batch) -> tuple[Tensor, ...]:
        return outputs.start_logits, outputs.end_logits

    @override
    def run(self, model: nn.Module, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """The UTF-8 bytes of the answers, [batch, longest], filled up with zeros."""
        import torch

        from bench.models.answering.system import AnsweringModel

        if not isinstance(model, AnsweringModel):
            raise DataError(
                f"open_qa: {type(model).__name__} reads a passage that it is given, but a question of this task has "
                "none. Use a program of bench.models.answering."
            )
        texts = model.answers(batch.inputs["input_ids"], batch.inputs["attention_mask"], tokenizer)
        parts = [text.encode() for text in texts]
        longest = max(1, *map(len, parts))
        return (torch.tensor([[*part, *[0] * (longest - len(part))] for part in parts], dtype=torch.uint8),)

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> WrittenAnswers:
        """The answers as they were written."""
        answers = [""] * len(examples)
        for (written,), feature in zip(outputs, features, strict=True):
            answers[feature.example] = bytes(written.tolist()).rstrip(b"\0").decode()
        return WrittenAnswers(tuple(answers))

    @override
    def handed(self, example: Example) -> str:
        """The question alone, whether or not the data have a passage beside it."""
        return example.text

    @override
    def heard(
        self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any
    ) -> WrittenAnswers:
        """The answer in words."""
        return WrittenAnswers(texts_said(said, examples, name=name))

    @override
    def says_hidden(self, hidden: int, total: int, first: str) -> str:
        return (
            f"{hidden} of {total} questions have no published answer (first: {first}). Evaluate on a split with "
            "answers."
        )

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        """A question that has a passage must have its answer there."""
        if example.pair is not None:
            KINDS.get(SpanQA.name).check(example, task, where=where)
        elif any(not answer.text.strip() for answer in example.answers):
            raise DataError(f"{where}: an accepted answer is empty; leave it out")


KINDS.register(OpenQA.name)(OpenQA())


def question_room(max_length: int) -> int:
    """Tokens of a question: 64, as in SQuAD, or a third of `max_length`; a passage gets the others."""
    return min(64, max_length // 3)


def passages_of(examples: Sequence[Example], *, where: str) -> list[str]:
    """The passages of `examples`, each once: second texts, and texts of rows that are no question, without answers.

    Raises `DataError` if there is none.
    """
    found = [
        example.text if example.pair is None else example.pair
        for example in examples
        if example.pair is not None or not example.answers
    ]
    if not found:
        raise DataError(
            f"{where}: no passage in the data. Name a corpus in the task's data (`corpus`), whose rows have the "
            "passage as `pair` beside a question, or as `text` alone."
        )
    return list(dict.fromkeys(found))
