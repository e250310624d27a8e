"""Span question answering: the answer is a stretch of the context (SQuAD v1: every question has one)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import Answer, Example
from bench.tasks.features import Feature
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.kinds.spans import best_span
from bench.tasks.kinds.windows import answer_tokens, encode_windows
from bench.tasks.predictions import WrittenAnswers

if TYPE_CHECKING:
    from torch import Tensor

    from bench.spec.suite import Task


class SpanQA(TaskKind):
    """A start and an end score per token (Devlin et al. 2019, arXiv:1810.04805, §4.2), long contexts in windows."""

    name = "span_qa"
    head = "question-answering"
    predicts = WrittenAnswers
    per_token = True
    over_tokens = True

    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """The windows of every example, in order.

        With `training`, the first answer of an example gives its targets, and windows that do not hold all of it are
        left out: with no "no answer" to learn they have nothing to teach. Raises `DataError` for a training example
        without an answer, or without a context.
        """
        windows = encode_windows(examples, tokenizer, where=task.name, max_length=max_length)
        if not training:
            return windows
        features = []
        for window in windows:
            answers = _answers(examples[window.example])
            tokens = answer_tokens(window, answers[0].start, answers[0].start + len(answers[0].text))
            if tokens is not None:
                targets: dict[str, int | float | list[int]] = {"start_positions": tokens[0], "end_positions": tokens[1]}
                features.append(
                    Feature(inputs=window.inputs, targets=targets, example=window.example, offsets=window.offsets)
                )
        return features

    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean of the cross-entropies of the start and of the end position, in nats."""
        from torch.nn import functional

        start = functional.cross_entropy(outputs.start_logits.float(), targets["start_positions"])
        end = functional.cross_entropy(outputs.end_logits.float(), targets["end_positions"])
        return (start + end) / 2

    @override
    def logits(self, outputs: Any) -> tuple[Tensor, ...]:
        return outputs.start_logits, outputs.end_logits

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> WrittenAnswers:
        """The best stretch over all windows of each example, cut out of its context; "" for an empty context."""
        answers = [""] * len(examples)
        scores = [float("-inf")] * len(examples)
        for (start, end), feature in zip(outputs, features, strict=True):
            span = best_span(start, end, feature.offsets or ())
            if span is not None and span.score > scores[feature.example]:
                scores[feature.example] = span.score
                answers[feature.example] = (examples[feature.example].pair or "")[span.start : span.end]
        return WrittenAnswers(tuple(answers))

    @override
    def says_hidden(self, hidden: int, total: int, first: str) -> str:
        return _says_no_answer(first)

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        for answer in example.answers:
            context = example.pair or ""
            if context[answer.start : answer.start + len(answer.text)] != answer.text or not answer.text:
                raise DataError(
                    f"{where}: the answer {answer.text!r} is not at character {answer.start} of the context"
                )


def _answers(example: Example) -> tuple[Answer, ...]:
    if not example.answers:
        raise DataError(_says_no_answer(example.uid))
    return example.answers


def _says_no_answer(uid: str) -> str:
    return (
        f"span_qa: example {uid} has no answer, so it cannot be used for training or scoring. Use a split with "
        f"published answers; questions without an answer (SQuAD v2) are not supported."
    )


KINDS.register(SpanQA.name)(SpanQA())
