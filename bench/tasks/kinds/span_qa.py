"""Span question answering: the answer is a stretch of the context (SQuAD v1: every question has one)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.tasks.examples import Answer, Example
from bench.tasks.kinds.kind import KINDS, Feature, Predictions, TaskKind
from bench.tasks.kinds.sequence import metric_names
from bench.tasks.kinds.spans import best_span
from bench.tasks.kinds.windows import answer_tokens, encode_windows

if TYPE_CHECKING:
    from torch import Tensor

    from bench.spec.suite import Task

_METRICS = {"exact_match": "exact_match", "f1": "token_f1"}  # column to metric


class SpanQA(TaskKind):
    """A start and an end score a token (Devlin et al. 2019, arXiv:1810.04805, §4.2), long contexts in windows."""

    name = "span_qa"
    head = "question-answering"
    per_token = True

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

    def logits(self, outputs: Any) -> tuple[Tensor, ...]:
        """Start and end scores, [batch, length] each."""
        return outputs.start_logits, outputs.end_logits

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> Predictions:
        """The best stretch over all windows of each example, cut out of its context; "" for an empty context."""
        answers = [""] * len(examples)
        scores = [float("-inf")] * len(examples)
        for (start, end), feature in zip(outputs, features, strict=True):
            span = best_span(start, end, feature.offsets or ())
            if span is not None and span.score > scores[feature.example]:
                scores[feature.example] = span.score
                answers[feature.example] = (examples[feature.example].pair or "")[span.start : span.end]
        return Predictions(answers=tuple(answers))

    def score(self, predictions: Predictions, examples: Sequence[Example], metrics: Sequence[str]) -> dict[str, float]:
        """Any of `exact_match` and `f1` (over words), the best over an example's answers."""
        from bench.tasks.metrics.metric import score_metrics

        columns = metric_names(self.name, metrics, _METRICS)
        if predictions.answers is None:
            raise DataError("span_qa: nothing to score: the predictions hold no answers")
        references = [[answer.text for answer in _answers(example)] for example in examples]
        scores = score_metrics([_METRICS[column] for column in columns], predictions.answers, references)
        return {column: scores[_METRICS[column]] for column in columns}


def _answers(example: Example) -> tuple[Answer, ...]:
    if not example.answers:
        raise DataError(
            f"span_qa: example {example.uid} has no answer, so it can neither train nor be scored. "
            "Use a split whose answers are published; questions without an answer (SQuAD v2) are not supported."
        )
    return example.answers


KINDS.register(SpanQA.name)(SpanQA())
