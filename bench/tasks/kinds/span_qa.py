"""Span question answering: the answer is a stretch of the context, and every question has one (SQuAD 1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import Answer, Example
from bench.tasks.features import Batch, Feature
from bench.tasks.heard import texts_said
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.kinds.windows import answer_tokens, encode_windows
from bench.tasks.predictions import Predictions, WrittenAnswers

if TYPE_CHECKING:
    from torch import Tensor

    from bench.spec.suite import Task


NO_ANSWER = (Answer("", 0),)  # the answers of a question whose context has none


class SpanQA(TaskKind):
    """A start and an end score per token (Devlin et al. 2019, arXiv:1810.04805, §4.2), long contexts in windows."""

    name = "span_qa"
    says = "the answer to a question, a stretch of a given text"
    usual_metrics = ("exact_match", "f1")
    needs = ("pair", "answers")
    cuts = False
    head = "question-answering"
    predicts: ClassVar[type[Predictions]] = WrittenAnswers
    per_token = True
    over_tokens = True
    one_by_one = True

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
    def logits(self, outputs: Any, batch: Batch) -> tuple[Tensor, ...]:
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
    def heard(
        self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any
    ) -> Predictions:
        """The answer in words; what a function is given are the question and the context."""
        return WrittenAnswers(texts_said(said, examples, name=name))

    @override
    def says_hidden(self, hidden: int, total: int, first: str) -> str:
        return _says_no_answer(first)

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        if example.answers == NO_ANSWER:
            raise DataError(
                f"{where}: the question has no answer, but every question of a {self.name} task has one. Set kind = "
                "'span_qa_no_answer', or leave out questions without an answer."
            )
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
        f"published answers. If some questions have no answer in their context (SQuAD 2.0), their answers are one "
        f"empty text, and the task needs kind = 'span_qa_no_answer'."
    )


KINDS.register(SpanQA.name)(SpanQA())


_N_BEST = 20
_LONGEST_ANSWER = 30


class Span(NamedTuple):
    """A stretch of the context: its characters [start, end) and the sum of its two logits."""

    start: int
    end: int
    score: float


def best_span(start: Any, end: Any, offsets: Sequence[tuple[int, int] | None]) -> Span | None:
    """The span of at most 30 tokens with the largest sum of start and end score; None if there is no context.

    The 20 best starts are paired with the 20 best ends, both among context tokens (Devlin et al. 2019 and its
    run_squad.py look for them among all tokens and drop the others, so they consider fewer). Where none of these
    pairs is a stretch, all are searched: SQuAD v1 has no question without answer.

    Args:
        start: scores [length] as a numpy array; `end`: the same.
        offsets: the characters of each token in the context, None outside it.
    """
    import numpy as np

    tokens = [index for index, span in enumerate(offsets) if span is not None]
    spans = [span for span in offsets if span is not None]
    if not spans:
        return None
    starts, ends = start[tokens].astype(np.float64), end[tokens].astype(np.float64)
    best = _best_pair(starts, ends, _top(starts), _top(ends))
    if best is None:
        every = np.arange(len(tokens))
        best = _best_pair(starts, ends, every, every)
    if best is None:
        return None
    return Span(spans[best[0]][0], spans[best[1]][1], float(starts[best[0]] + ends[best[1]]))


def _top(scores: Any) -> Any:
    """Positions of the 20 largest scores, best first; earlier positions first among equals."""
    import numpy as np

    if len(scores) > 2 * _N_BEST:
        edge = np.partition(scores, len(scores) - _N_BEST)[len(scores) - _N_BEST]
        near = np.flatnonzero(scores >= edge)
        return near[np.argsort(-scores[near], kind="stable")][:_N_BEST]
    return np.argsort(-scores, kind="stable")[:_N_BEST]


def _best_pair(starts: Any, ends: Any, first: Any, last: Any) -> tuple[int, int] | None:
    """The pair of positions with the largest sum that is a stretch of 1 to 30 tokens."""
    import numpy as np

    width = last[None, :] - first[:, None] + 1
    sums = np.where((width >= 1) & (width <= _LONGEST_ANSWER), starts[first][:, None] + ends[last][None, :], -np.inf)
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return (int(first[row]), int(last[column])) if np.isfinite(sums[row, column]) else None


def start_id(tokenizer: Any) -> int:
    """What a decoder is given first: the tokenizer's start token, else its class token, else padding as Marian has it.

    Training and decoding both take it from here, whatever a model's configuration says.
    """
    known = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id)
    found = next((token for token in known if token is not None), None)
    if found is None:
        raise DataError("the tokenizer has no bos, cls or pad token, so a decoder has no start token; set one")
    return int(found)


def end_id(tokenizer: Any) -> int:
    """What ends a text: the tokenizer's end token, else its separator."""
    found = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    if found is None:
        raise DataError("the tokenizer has no eos or sep token, so generated text has no end token; set one")
    return int(found)
