"""Classification and regression: one text or a pair of texts in, one row of numbers out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.features import Feature, by_example
from bench.tasks.heard import as_logits, label_scores, numbers, places
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.predictions import ClassLogits, ScoreValues

if TYPE_CHECKING:
    from torch import Tensor

    from bench.spec.suite import Task


class SequenceKind(TaskKind):
    """A task whose model reads `text`, or `text` and `pair`, and gives one output vector for it."""

    head = "sequence-classification"
    one_by_one = True

    @abstractmethod
    def target(self, label: Any, task: Task) -> int | float | list[int]:
        """The truth of an example as the loss wants it: a class index, a score that is always a float, or a list."""

    @override
    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """One feature per example; the longer text of a pair is cut first.

        Raises `DataError` if some examples are pairs and others not, or if a training label is hidden.
        """
        if not examples:
            return []
        paired = {example.pair is not None for example in examples}
        if len(paired) > 1:
            raise DataError(
                f"{task.name}: some examples have a second text and others do not; either all or none must have one"
            )
        labels = self.known_truths(examples) if training else []
        encoded = tokenizer(
            [example.text for example in examples],
            [example.pair for example in examples] if paired == {True} else None,
            truncation=True,
            max_length=max_length,
            padding=False,
        )
        names = list(encoded)
        return [
            Feature(
                inputs={name: encoded[name][row] for name in names},
                targets={"labels": self.target(labels[row], task)} if training else {},
                example=row,
            )
            for row in range(len(examples))
        ]


class Classification(SequenceKind):
    """Softmax cross-entropy in nats in training; the class of the largest logit in prediction."""

    name = "classification"
    says = "one of several classes per text or pair of texts"
    usual_metrics = ("accuracy",)
    needs = ("label",)
    predicts = ClassLogits
    least_labels = 2
    exits = True

    @override
    def target(self, label: Any, task: Task) -> int:
        return int(label)

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs.logits.float(), targets["labels"])

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> ClassLogits:
        import numpy as np

        return ClassLogits(np.asarray(by_example(outputs, features), dtype=np.float64))

    @override
    def heard(
        self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any
    ) -> ClassLogits:
        """A score per label: logits, or probabilities, whose logarithms stand for logits."""
        rows = [
            label_scores(each, task.labels, outputs, where=where)
            for each, where in zip(said, places(name, examples), strict=True)
        ]
        return ClassLogits.read(as_logits(rows))


KINDS.register(Classification.name)(Classification())


class Regression(SequenceKind):
    """Mean squared error (in squared units of the score) in training, the one output in prediction."""

    name = "regression"
    says = "a number per text or pair of texts"
    usual_metrics = ("pearson", "spearman")
    needs = ("label",)
    predicts = ScoreValues
    exits = True

    @override
    def target(self, label: Any, task: Task) -> float:
        return float(label)

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        from torch.nn import functional

        return functional.mse_loss(outputs.logits.float().squeeze(-1), targets["labels"].float())

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> ScoreValues:
        import numpy as np

        values = [logits.item() for logits in by_example(outputs, features)]
        return ScoreValues(np.asarray(values, dtype=np.float64))

    @override
    def heard(
        self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any
    ) -> ScoreValues:
        """One number."""
        where = places(name, examples)
        return ScoreValues.read([numbers(each, 1, where=at)[0] for each, at in zip(said, where, strict=True)])


KINDS.register(Regression.name)(Regression())
