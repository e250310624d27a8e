"""Tasks with candidates, each read beside the text by itself: one is right, one fills a gap, or several are right."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.features import IGNORED, Batch, Feature, as_rows, by_example
from bench.tasks.heard import as_logits, numbers, places
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.kinds.multi_label import no_and_yes
from bench.tasks.metrics.answers import normalise_answer
from bench.tasks.predictions import ChoiceDecisions, ChosenAnswers, ClassLogits, Predictions

if TYPE_CHECKING:
    from torch import Tensor

    from bench.spec.suite import Task

GAP = "@placeholder"  # where a candidate stands in the second text, as ReCoRD writes it


class ChoiceKind(TaskKind):
    """A task whose model reads `text` beside each of `choices` and scores it; the head is one for sequences.

    The candidate is the second text, or follows `pair`, or stands where `pair` says "@placeholder".
    """

    head = "sequence-classification"
    least_choices: ClassVar[int] = 2
    one_by_one = True

    @abstractmethod
    def right(self, example: Example) -> tuple[int, ...] | None:
        """The indices of the candidates that are right; None if that is hidden."""

    @abstractmethod
    def targets(self, right: list[int]) -> dict[str, int | float | list[int]]:
        """What the loss needs of 1 for each candidate that is right and 0 for the others."""

    @abstractmethod
    def said(self, scores: list[Any], examples: Sequence[Example]) -> Predictions:
        """Predictions from what `run` gave for the candidates of every example, [candidates, ...] each."""

    @override
    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """One feature per example with one input per candidate; the longer of the two texts is cut first.

        Raises `DataError` for an example without candidates, or for a training example whose truth is hidden.
        """
        if not examples:
            return []
        for example in examples:
            _check_choices(example, where=f"{task.name}: example {example.uid}", least=1)
        if training:
            self.known_truths(examples)
        read = [(example.text, beside(example, choice)) for example in examples for choice in example.choices]
        encoded = tokenizer(
            [first for first, _ in read],
            [second for _, second in read],
            truncation=True,
            max_length=max_length,
            padding=False,
        )
        features, start = [], 0
        for row, example in enumerate(examples):
            end = start + len(example.choices)
            features.append(
                Feature(
                    inputs={name: encoded[name][start:end] for name in encoded},
                    targets=self._targets(example) if training else {},
                    example=row,
                )
            )
            start = end
        return features

    def _targets(self, example: Example) -> dict[str, int | float | list[int]]:
        right = self.right(example) or ()
        return self.targets([int(index in right) for index in range(len(example.choices))])

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> Predictions:
        counts = [len(example.choices) for example in examples]  # the rows behind them fill up the batch
        scores = by_example(outputs, features)
        return self.said([each[:count] for each, count in zip(scores, counts, strict=True)], examples)

    @override
    def handed(self, example: Example) -> Any:
        """The text, and a list of what is read beside it: one second text per candidate."""
        return example.text, [beside(example, choice) for choice in example.choices]

    @override
    def heard(self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any) -> Any:
        """One score per candidate."""
        rows = [
            numbers(each, len(example.choices), where=where)
            for each, example, where in zip(said, examples, places(name, examples), strict=True)
        ]
        return self.heard_scores(rows, examples)

    @abstractmethod
    def heard_scores(self, rows: list[list[float]], examples: Sequence[Example]) -> Predictions:
        """Predictions from one number per candidate of every example, as a function of texts gave them."""

    @override
    def per_example(self, examples: Sequence[Example]) -> dict[str, Any]:
        mean = sum(len(example.choices) for example in examples) / len(examples)
        return {"measured_input": "one candidate", "candidates_per_example": mean}

    @override
    def attacked_text(self, example: Example) -> str:
        """What all candidates are read beside; words that belong to the candidates stay."""
        return example.text

    @override
    def with_text(self, example: Example, text: str) -> Example:
        return dataclasses.replace(example, text=text)

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        _check_choices(example, where=where, least=self.least_choices)
        given = example.label if isinstance(example.label, tuple) else (example.label,)
        for index in given:
            if index is not None and (not isinstance(index, int) or not 0 <= index < len(example.choices)):
                raise DataError(
                    f"{where}: label {example.label!r}: {index!r} is not the index of a choice, 0 to "
                    f"{len(example.choices) - 1}"
                )


def beside(example: Example, choice: str) -> str:
    """The second text that the model reads for a candidate."""
    if example.pair is None:
        return choice
    return example.pair.replace(GAP, choice) if GAP in example.pair else f"{example.pair} {choice}"


def _check_choices(example: Example, *, where: str, least: int) -> None:
    if len(example.choices) < least:
        raise DataError(
            f"{where}: found {len(example.choices)} choices, expected at least {least}. Name the columns that hold "
            "them under data.columns.choices."
        )


class OneChoice(ChoiceKind):
    """One score per candidate, and a softmax over the candidates of an example (Devlin et al. 2019, §4.4, on SWAG)."""

    @override
    def targets(self, right: list[int]) -> dict[str, int | float | list[int]]:
        return {"right": right}

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Minus the log of the probability of the right candidates together, in nats: cross-entropy if one is right."""
        import torch

        right = targets["right"]  # [batch, most candidates]
        scores = as_rows(_scores(outputs), (right != IGNORED).sum(dim=1).tolist())
        wrong = scores.masked_fill(right != 1, torch.finfo(scores.dtype).min)
        return (scores.logsumexp(dim=1) - wrong.logsumexp(dim=1)).mean()

    @override
    def logits(self, outputs: Any, batch: Batch) -> tuple[Tensor, ...]:
        return (as_rows(_scores(outputs), batch.groups or ()),)

    @override
    def heard_scores(self, rows: list[list[float]], examples: Sequence[Example]) -> Predictions:
        """Logits, or probabilities of the candidates, whose logarithms stand for logits."""
        import numpy as np

        return self.said([np.asarray(row) for row in as_logits(rows)], examples)


def _scores(outputs: Any) -> Tensor:
    """One number per candidate, [candidates]."""
    scores: Tensor = outputs.logits.float().squeeze(-1)
    return scores


class MultipleChoice(OneChoice):
    """Exactly one candidate is right (COPA, SWAG); the class is its index, also if examples differ in their number."""

    name = "multiple_choice"
    says = "the one right answer among candidates"
    usual_metrics = ("accuracy",)
    needs = ("choices", "label")
    predicts = ClassLogits

    @override
    def right(self, example: Example) -> tuple[int, ...] | None:
        return None if example.label is None else (int(self.truth(example)),)

    @override
    def said(self, scores: list[Any], examples: Sequence[Example]) -> ClassLogits:
        return ClassLogits.read([row.tolist() for row in scores])

    @override
    def truth(self, example: Example) -> Any:
        return example.label[0] if isinstance(example.label, tuple) else example.label

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        super().check(example, task, where=where)
        if isinstance(example.label, tuple) and len(example.label) != 1:
            raise DataError(
                f"{where}: {len(example.label)} choices are right, but in a {self.name} task exactly one is. If "
                f"several may be right, use kind = '{SeveralChoices.name}', or '{Cloze.name}' if any of them will do."
            )


KINDS.register(MultipleChoice.name)(MultipleChoice())


class Cloze(OneChoice):
    """The candidate with the largest score is the answer, in words, and any reference answer will do (ReCoRD).

    Reference answers are `answers`, or the candidates that `label` names. A candidate is right if it equals a
    reference answer after SQuAD's normalisation.
    """

    name = "cloze"
    says = "the candidate that fills a gap in a text"
    usual_metrics = ("exact_match", "f1")
    needs = ("choices",)
    predicts = ChosenAnswers

    @override
    def right(self, example: Example) -> tuple[int, ...] | None:
        if self.truth(example) is None:
            return None
        known = {normalise_answer(answer) for answer in self.truth(example)}
        found = tuple(row for row, choice in enumerate(example.choices) if normalise_answer(choice) in known)
        if not found:
            raise DataError(f"{self.name}: example {example.uid}: none of its choices equals one of its answers")
        return found

    @override
    def said(self, scores: list[Any], examples: Sequence[Example]) -> ChosenAnswers:
        answers = [example.choices[int(row.argmax())] for row, example in zip(scores, examples, strict=True)]
        return ChosenAnswers(tuple(answers), tuple(tuple(map(float, row)) for row in scores))

    @override
    def truth(self, example: Example) -> Any:
        if example.answers:
            return [answer.text for answer in example.answers]
        if example.label is None:
            return None
        given = example.label if isinstance(example.label, tuple) else (example.label,)
        return [example.choices[int(index)] for index in given]


KINDS.register(Cloze.name)(Cloze())


class SeveralChoices(ChoiceKind):
    """Each candidate is right or not (MultiRC): one score per candidate, and a sigmoid.

    That is a softmax over two classes of which one has the score 0. An example is a question with all its candidates,
    so that a question can be scored and resampled as a whole.
    """

    name = "several_choices"
    says = "for each of several candidates whether it is right"
    usual_metrics = ("exact_match", "f1")
    needs = ("choices", "label")
    predicts = ChoiceDecisions
    least_choices = 1
    few_outputs = True

    @override
    def right(self, example: Example) -> tuple[int, ...] | None:
        if isinstance(example.label, int):
            return (example.label,)
        return example.label if isinstance(example.label, tuple) else None

    @override
    def targets(self, right: list[int]) -> dict[str, int | float | list[int]]:
        return {"labels": right}

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean binary cross-entropy over the candidates of the batch, in nats."""
        from torch.nn import functional

        labels = targets["labels"]  # [batch, most candidates]
        known = labels[labels != IGNORED].float()
        return functional.binary_cross_entropy_with_logits(_scores(outputs), known)

    @override
    def logits(self, outputs: Any, batch: Batch) -> tuple[Tensor, ...]:
        """No and yes of each candidate, [batch, most candidates, 2], as each is a distribution of its own."""
        return (as_rows(no_and_yes(_scores(outputs)), batch.groups or ()),)

    @override
    def heard_scores(self, rows: list[list[float]], examples: Sequence[Example]) -> ChoiceDecisions:
        """The log-odds of each candidate: above 0 it is said to be right."""
        return ChoiceDecisions(tuple(map(tuple, rows)))

    @override
    def said(self, scores: list[Any], examples: Sequence[Example]) -> ChoiceDecisions:
        return ChoiceDecisions(tuple(tuple((row[:, 1] - row[:, 0]).tolist()) for row in scores))

    @override
    def truth(self, example: Example) -> Any:
        right = self.right(example)
        return None if right is None else list(right)


KINDS.register(SeveralChoices.name)(SeveralChoices())
