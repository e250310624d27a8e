"""What a task kind does: examples to tensors, model outputs to a loss and to predictions, predictions to scores."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bench.base.errors import DataError, UnavailableError, unknown
from bench.base.registry import Registry
from bench.tasks.examples import Example
from bench.tasks.features import Batch, Feature
from bench.tasks.metrics.context import PLAIN, Context
from bench.tasks.metrics.metric import Answered, Metric, metrics_of, score_part
from bench.tasks.predictions import ClassLogits, Predictions

if TYPE_CHECKING:
    import random

    from torch import Tensor, nn

    from bench.spec.suite import Task


class ChosenOn(NamedTuple):
    """What a threshold is chosen on: a model's predictions of examples, and the name of their split."""

    split: str
    predictions: Predictions
    examples: Sequence[Example]


class TaskKind(ABC):
    """One kind of task; instances hold no state.

    All that depends on the kind is asked here, so another package's kind gets what the defaults say. The form of its
    predictions (`predicts`) decides which metrics there are, how two models agree and what is stored; a kind that
    `classifies` has calibration, the warning of a weak reference, and attacks.
    """

    name: ClassVar[str]
    says: ClassVar[str] = ""  # what is predicted, in words
    head: ClassVar[str]  # which head of `bench.models.heads` a model needs
    predicts: ClassVar[type[Predictions]]  # what `predict` gives
    usual_metrics: ClassVar[tuple[str, ...]] = ()  # columns that score a task on data without official metrics
    needs: ClassVar[tuple[str, ...]] = ()  # roles of columns that data of this kind must have besides the text
    least_labels: ClassVar[int] = 0  # how many labels a task must name at least; 0 if it names none
    cuts: ClassVar[bool] = True  # whether of a text longer than `max_length` the rest is lost
    per_token: ClassVar[bool] = False  # whether `run` gives a value for every input token
    over_tokens: ClassVar[bool] = False  # whether `logits` are distributions over the tokens of the input
    tokens_compared: ClassVar[int] = 0  # features per split on which two models are compared token by token
    asked: ClassVar[str] = "predicted"  # the word for the tokens that are compared
    one_by_one: ClassVar[bool] = False  # whether `encode` gives each example what it would give it alone
    few_outputs: ClassVar[bool] = False  # whether a teacher's outputs fit in memory, though not only examples have some
    thresholded: ClassVar[bool] = False  # whether `settled` chooses a threshold
    writes: ClassVar[bool] = False  # whether a text is written token by token, the time of which is measured
    searches: ClassVar[bool] = False  # whether examples are queries, answered from the vectors of the corpus
    in_batch: ClassVar[bool] = False  # whether `logits` of an example depend on the others of its batch
    exits: ClassVar[bool] = (
        False  # whether the answer to an input may come from its first token's state after any layer
    )
    self_contained: ClassVar[bool] = False  # whether a model is a program that holds all it knows, counted as a whole

    @property
    def classifies(self) -> bool:
        """Whether each example gets one of the task's labels, with a probability."""
        return issubclass(self.predicts, ClassLogits)

    def head_settings(self, task: Task) -> dict[str, Any]:
        """Keys of a model's configuration that say how its head works, as far as the task does; by default none."""
        del task
        return {}

    @abstractmethod
    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """Unpadded features, at most `max_length` tokens each; with `training`, targets are filled in."""

    def anew(self, feature: Feature, draws: random.Random) -> Feature:
        """An encoded feature as training sees it this time, with `draws` for what chance decides: by default itself."""
        del draws
        return feature

    def training_splits(self, task: Task) -> tuple[str, ...]:
        """The splits whose examples a model of the task is made from, in the order in which they are given."""
        return (task.train,)

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
        """`model`, new and not yet trained, with what it needs besides its weights: by default nothing.

        Args:
            model: what the head of this kind gave; it may become a part of the result.
            examples: those of `training_splits`.
            tokenizer: the one that belongs to it.
            task: the task that it will be trained on.
            max_length: tokens an example may have.
            like: a model that was completed already, of the same task and tokenizer, to take the rest from.
        """
        del examples, tokenizer, task, max_length, like
        return model

    @abstractmethod
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """The task's own training loss, a mean over the batch."""

    def example_losses(self, outputs: Any, batch: Batch) -> Tensor:
        """The loss of each example of a batch by itself, [batch]; their mean is `loss` if each has one target.

        Raises `DataError` for kinds whose examples have candidates or depend on the others of their batch.
        """
        import torch

        if batch.groups is not None or self.in_batch:
            raise DataError(f"a {self.name} task has no loss for each example by itself")
        found = [
            self.loss(_One(outputs, row), {name: target[row : row + 1] for name, target in batch.targets.items()})
            for row in range(len(next(iter(batch.inputs.values()))))
        ]
        return torch.stack(found)

    def logits(self, outputs: Any, batch: Batch) -> tuple[Tensor, ...]:
        """The output tensors a distillation term compares, of what the model gave for a batch's inputs.

        [batch, classes], start and end [batch, length] if `over_tokens`, or [batch, length, vocabulary] if each token
        has a target. For features with candidates [batch, most candidates], where missing ones have the lowest finite
        number, as `as_rows` gives them. By default the one called `logits`.
        """
        del batch
        return (outputs.logits,)

    def run(self, model: nn.Module, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """What `predict` reads, for one batch, each [batch, ...]: by default `logits` of one forward pass.

        The model is in evaluation mode and no gradient is kept. `tokenizer` is the one that belongs to it.
        """
        del tokenizer
        return self.logits(model(**batch.inputs), batch)

    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        """What the scores of these examples depend on besides the model, as JSON values for the record."""
        del examples, tokenizer, task, max_length
        return {}

    @abstractmethod
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any,
    ) -> Predictions:
        """Predictions from one tuple of numpy arrays per feature (what `run` gave, no batch axis).

        If `per_token`, the arrays are cut to the feature's own length.
        """

    def handed(self, example: Example) -> Any:
        """What a function of texts is given for an example: by default its text, or its two texts as a tuple."""
        return example.text if example.pair is None else (example.text, example.pair)

    def heard(self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any) -> Any:
        """Predictions from what a function of texts said of every example; if the kind searches, vectors of texts.

        Args:
            said: its answers, one per example.
            examples: that it was asked about.
            task: theirs.
            name: the function's, for messages.
            outputs: the labels that its numbers stand for, in their order; none if they were not told.

        Raises:
            ModelError: an answer of another form than the kind expects, see docs/your-model.md.
            UnavailableError: the kind scores what a function of texts cannot say, as by default.
        """
        del said, examples, task, name, outputs
        raise UnavailableError(f"a {self.name} task asks for more than a function of texts says")

    def find(self, queries: Any, documents: Any, uids: Sequence[str]) -> Predictions:
        """The best documents for every query, for kinds that search.

        Args:
            queries: vectors [queries, width] float32.
            documents: vectors [documents, width] float32.
            uids: what the documents are called.
        """
        raise DataError(f"a {self.name} task searches no documents")

    def searched(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """The documents that stand beside examples, each once, if the kind searches; none for queries alone."""
        del examples
        return ()

    def settled(self, predictions: Predictions, task: Task, *, chosen_on: ChosenOn) -> Predictions:
        """The predictions after a decision threshold was chosen, for kinds and metrics that need one.

        By default they are as they were. Called for each model by itself, with its predictions on the examples that
        the threshold is chosen on: those of the split `task.threshold`, or the ones that are settled.
        """
        del task, chosen_on
        return predictions

    def parts(self, example: Example) -> str | None:
        """The part of the examples, such as questions without an answer, of which scores are stated too.

        By default None: there are no parts.
        """
        del example
        return None

    def per_example(self, examples: Sequence[Example]) -> dict[str, Any]:
        """What the cost of one example is if it is not that of one input of a measured call, as JSON values.

        By default nothing: an example is one input, or what is measured does not depend on the task's examples.
        """
        del examples
        return {}

    def truth(self, example: Example) -> Any:
        """The true output of an example, as it is stored: by default its answers, its target or its label.

        A number, a string, a list of accepted strings, or None if it is hidden.
        """
        if example.answers:
            return [answer.text for answer in example.answers]
        return example.label if example.target is None else example.target

    def known_truths(self, examples: Sequence[Example]) -> list[Any]:
        """The truth of every example; raises `DataError` if one is hidden."""
        if not self.predicts.needs_truth:
            return [None] * len(examples)
        truths = [self.truth(example) for example in examples]
        hidden = [example.uid for example, truth in zip(examples, truths, strict=True) if truth is None]
        if hidden:
            raise DataError(self.says_hidden(len(hidden), len(examples), hidden[0]))
        return truths

    def says_hidden(self, hidden: int, total: int, first: str) -> str:
        """The message for `hidden` of `total` examples whose truth is not known; `first` is the uid of one."""
        return (
            f"the labels of {hidden} of {total} examples are hidden (first: {first}). "
            "Train and evaluate on splits with published labels, such as the validation split."
        )

    def check(self, example: Example, task: Task, *, where: str) -> None:
        """Raise `DataError` for an example that cannot be of the task; `where` begins the message.

        By default a label, if there is one, is an index into the task's labels, or a finite number without these.
        """
        if example.label is None:
            return
        if task.labels:
            if not isinstance(example.label, int) or not 0 <= example.label < len(task.labels):
                raise DataError(
                    f"{where}: label {example.label!r} is not one of 0 to {len(task.labels) - 1} "
                    f"({', '.join(task.labels)})"
                )
        elif isinstance(example.label, tuple) or not math.isfinite(example.label):
            raise DataError(f"{where}: label {example.label!r} is not a finite number")

    def metric(self, column: str, *, where: str | None = None) -> Metric:
        """The metric of this kind's predictions that a task calls `column`.

        Raises `UnknownNameError` that suggests the nearest one that there is.
        """
        known = metrics_of(self.predicts)
        if column not in known:
            raise unknown(f"{self.name} metric", column, known, where=where)
        return known[column]

    def score(
        self,
        predictions: Predictions,
        examples: Sequence[Example],
        metrics: Sequence[str],
        context: Context = PLAIN,
    ) -> dict[str, float]:
        """The official metrics by column name; raises `DataError` if labels are hidden or a metric is undefined.

        `context` holds what some metrics need besides, see `bench.tasks.evaluate.context_of`.
        """
        chosen = [self.metric(column) for column in metrics]
        if not isinstance(predictions, self.predicts):
            raise DataError(f"{self.name}: nothing to score: the predictions contain no {self.predicts.called}")
        for metric in chosen:
            metric.check(predictions)
        return score_part(Answered(predictions, self.known_truths(examples), context), chosen)

    def agreement_details(self, reference: Predictions, artifact: Predictions, task: Task) -> dict[str, Any]:
        """What a record keeps of the agreement of two models besides its columns, as JSON values."""
        return reference.details(artifact, task.labels)

    def attacked_text(self, example: Example) -> str:
        """The text that an attack may change: the second of a pair, else the only one."""
        return example.text if example.pair is None else example.pair

    def with_text(self, example: Example, text: str) -> Example:
        """The example with another `attacked_text`."""
        if example.pair is None:
            return dataclasses.replace(example, text=text)
        return dataclasses.replace(example, pair=text)


class _One:
    """What a model gave for one row of a batch."""

    def __init__(self, outputs: Any, row: int) -> None:
        self._outputs = outputs
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outputs, name)[self._row : self._row + 1]


KINDS: Registry[TaskKind] = Registry(
    "task kind",
    modules=(
        "bench.tasks.kinds.sequence",
        "bench.tasks.kinds.choices",
        "bench.tasks.kinds.multi_label",
        "bench.tasks.kinds.span_qa",
        "bench.tasks.kinds.unanswerable",
        "bench.tasks.kinds.translation",
        "bench.tasks.kinds.language_modelling",
        "bench.tasks.kinds.masked_language_modelling",
        "bench.tasks.kinds.open_qa",
        "bench.tasks.kinds.retrieval",
    ),
    group="bench.kinds",
)


def form_of(value: Any) -> type[Predictions]:
    """The form of predictions of which `value`, read from a table, is one; raises `DataError` if there is none."""
    for form in dict.fromkeys(kind.predicts for _, kind in KINDS.items()):
        if form.holds(value):
            return form
    raise DataError(f"{value!r} is not a prediction of a known task kind")
