"""Span question answering in which some questions have no answer in their context (SQuAD 2.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.features import Feature
from bench.tasks.heard import texts_said
from bench.tasks.kinds.kind import KINDS, ChosenOn
from bench.tasks.kinds.span_qa import NO_ANSWER, SpanQA, best_span
from bench.tasks.kinds.windows import answer_tokens, encode_windows
from bench.tasks.metrics.answers import normalise_answer, word_f1
from bench.tasks.predictions import AnswersOrNone, Predictions

if TYPE_CHECKING:
    from bench.spec.suite import Task

UNCHOSEN = 0.0  # run_squad.py's null_score_diff_threshold, for examples whose answers are hidden


class SpanQANoAnswer(SpanQA):
    """Span QA in which the class token as start and end means "no answer" (Devlin et al. 2019, §4.3).

    A question without an answer has one reference, the empty text at 0. The score of no answer is the least over the
    windows of a context, as in run_squad.py (google-research/bert); above a threshold of its difference from the best
    stretch the answer is empty. The threshold gives the best F1 on the examples that it is chosen on, as `best_f1` of
    evaluate-v2.0.py (Rajpurkar et al. 2018, arXiv:1806.03822); exact match is reported at the same one.
    """

    name = "span_qa_no_answer"
    says = "the answer to a question, a stretch of a given text, or that the text has none"
    usual_metrics = ("exact_match", "f1")
    predicts = AnswersOrNone
    thresholded = True

    @override
    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """The windows of every example, in order.

        With `training`, the first answer gives the targets, and a window that does not hold all of it is taught the
        class token, also if another window of the question holds the answer, as in run_squad.py.
        """
        windows = encode_windows(examples, tokenizer, where=task.name, max_length=max_length)
        if not training:
            return windows
        self.known_truths(examples)
        return [
            Feature(
                inputs=window.inputs,
                targets=_targets(window, examples[window.example], tokenizer),
                example=window.example,
                offsets=window.offsets,
            )
            for window in windows
        ]

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> AnswersOrNone:
        """The best stretch over all windows of each example, and how far the score of no answer is above its score."""
        best, scores = [""] * len(examples), [float("-inf")] * len(examples)
        nulls = [float("inf")] * len(examples)
        for (start, end), feature in zip(outputs, features, strict=True):
            row, null = feature.example, _class_token(feature, tokenizer)
            nulls[row] = min(nulls[row], float(start[null]) + float(end[null]))
            span = best_span(start, end, feature.offsets or ())
            if span is not None and span.score > scores[row]:
                scores[row] = span.score
                best[row] = (examples[row].pair or "")[span.start : span.end]
        excess = [null - score if text else 0.0 for null, score, text in zip(nulls, scores, best, strict=True)]
        return AnswersOrNone.of(best, excess, threshold=UNCHOSEN)

    @override
    def heard(
        self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any
    ) -> AnswersOrNone:
        """The answer in words, empty if the context has none: its score is then 1 below that of no answer, else above.

        With these two scores, the threshold that is chosen keeps what the function decided, or says "no answer" to all
        if that is better.
        """
        answers = texts_said(said, examples, name=name)
        return AnswersOrNone.of(answers, [-1.0 if each else 1.0 for each in answers], threshold=UNCHOSEN)

    @override
    def settled(self, predictions: Predictions, task: Task, *, chosen_on: ChosenOn) -> Predictions:
        truths = [self.truth(example) for example in chosen_on.examples]
        said = chosen_on.predictions
        if not isinstance(predictions, AnswersOrNone) or not isinstance(said, AnswersOrNone) or None in truths:
            return predictions
        threshold = best_threshold(said.best, said.excess, truths)
        return AnswersOrNone.of(predictions.best, predictions.excess, threshold=threshold)

    @override
    def parts(self, example: Example) -> str | None:
        return "no_answer" if example.answers == NO_ANSWER else "has_answer"

    @override
    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        """How the threshold was chosen, and how many questions have no answer."""
        own = "the scored split itself, as best_f1 of the official script"
        return {
            "threshold": "the best F1 for each model by itself; exact match is at the same threshold",
            "threshold_chosen_on": own if task.threshold is None else task.threshold,
            "threshold_if_hidden": UNCHOSEN,
            "no_answer": sum(example.answers == NO_ANSWER for example in examples),
        }

    @override
    def truth(self, example: Example) -> Any:
        """Answers that normalise to nothing are left out, and if none is left, the empty answer is right."""
        if not example.answers:
            return None
        return [answer.text for answer in example.answers if normalise_answer(answer.text)] or [""]

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        if example.answers != NO_ANSWER:
            super().check(example, task, where=where)


def best_threshold(best: Sequence[str], excess: Sequence[float], truths: Sequence[Sequence[str]]) -> float:
    """The threshold with the largest sum of F1 if answers of a larger excess become empty; the least among equals.

    It is the excess of the last example that keeps its answer, or just below all of them if none should. The official
    script gives 0 in this case, which may keep some answers, and walks through equal excesses one by one.

    Args:
        best: the best answer of each example that is not empty.
        excess: by how much the score of no answer exceeds its score.
        truths: the accepted answers of each example, [""] if there is none.
    """
    import numpy as np

    values = np.asarray(excess, dtype=np.float64)
    gains = np.array(
        [
            max(word_f1(text, known) for known in truth) - max(word_f1("", known) for known in truth)
            for text, truth in zip(best, truths, strict=True)
        ]
    )
    levels, level = np.unique(values, return_inverse=True)
    total = np.cumsum(np.bincount(level, weights=gains, minlength=len(levels)))
    row = int(total.argmax())
    return float(levels[row]) if total[row] > _ROUNDING else float(np.nextafter(levels[0], -np.inf))


_ROUNDING = 1e-9  # of sums of F1, below which keeping some answers is worth nothing


def _targets(window: Feature, example: Example, tokenizer: Any) -> dict[str, int | float | list[int]]:
    answer = example.answers[0]
    tokens = answer_tokens(window, answer.start, answer.start + len(answer.text)) if answer.text else None
    null = _class_token(window, tokenizer)
    start, end = (null, null) if tokens is None else tokens
    return {"start_positions": start, "end_positions": end}


def _class_token(window: Feature, tokenizer: Any) -> int:
    """Where the class token of a window is: first in most architectures, last in some."""
    token = None if tokenizer is None else tokenizer.cls_token_id
    ids = list(window.inputs["input_ids"])
    if token is None or token not in ids:
        raise DataError("the tokenizer has no class token, which span QA with no answer needs; choose another model")
    return ids.index(token)


KINDS.register(SpanQANoAnswer.name)(SpanQANoAnswer())
