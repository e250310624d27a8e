"""Predictions of a model on the examples of a task, quickly, and their scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import TypeAdapter

from bench.base.errors import DataError
from bench.tasks.examples import CORPUS
from bench.tasks.kinds.kind import KINDS, ChosenOn
from bench.tasks.metrics.context import Context
from bench.tasks.outputs import Index, answers_of, outputs_of, vectors
from bench.tasks.predictions import Predictions
from bench.tasks.shifted import fold_of, scored_as, tuned_on

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from bench.artifacts.artifact import Loaded
    from bench.spec.suite import Task
    from bench.tasks.examples import Example, TaskData

T = TypeVar("T")


class Remembered(NamedTuple):
    """One result that an evaluator remembers of a model, as JSON values.

    `key` is the model's content hash, and then all else that the result depends on within one task and setting.
    """

    key: tuple[str | int | None, ...]
    value: Any


def predict(
    model: nn.Module,
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    task: Task,
    max_length: int,
    token_budget: int,
    device: str,
    corpus: Sequence[Example] = (),
) -> Predictions:
    """What `model` says of every example, in the order of the examples.

    Examples of similar length run together, padded to the longest of their batch, so few padded tokens are computed.
    The batches follow from the lengths alone, so the same call gives the same answers; beyond rounding, only layers
    that scale a whole call (dynamic int8) see which examples share a batch. The model must be on `device`; its
    training mode is as before afterwards.

    Args:
        model: a model with the head of the task's kind.
        tokenizer: the fast tokenizer that belongs to it.
        examples: at least one.
        task: whose kind encodes the examples and reads the outputs.
        max_length: most tokens per feature.
        token_budget: most padded tokens per batch; on a CPU at most 1024.
        device: where the batches go, as torch names it.
        corpus: the documents that queries are answered from, if the kind searches; without it, those that stand beside
            the examples, as in training.

    Raises:
        DataError: no examples, or examples the kind cannot encode. ModelError: more tokens than the model has
            positions, an output that is not a finite number, or a function's answer that is not what the kind expects.
        UnavailableError: a function of texts does not say what the kind scores.
    """
    from bench.models.texts import TextFunction

    if not examples:
        raise DataError(f"{task.name}: no examples to predict")
    kind = KINDS.get(task.kind)
    if kind.searches:
        documents = tuple(corpus) or kind.searched(examples)
        asked, known = (
            vectors(
                *(model, tokenizer, texts),
                task=task,
                max_length=max_length,
                token_budget=token_budget,
                device=device,
            )
            for texts in (examples, documents)
        )
        return kind.find(asked, known, [document.uid for document in documents])
    if isinstance(model, TextFunction):
        found: Predictions = answers_of(model, examples, task=task)
        return found
    features = kind.encode(examples, tokenizer, task=task, max_length=max_length, training=False)
    outputs = outputs_of(model, features, task=task, tokenizer=tokenizer, budget=token_budget, device=device)
    return kind.predict(outputs, features, examples, tokenizer=tokenizer)


def context_of(
    task: Task,
    examples: Sequence[Example],
    *,
    chosen_on: Callable[[], tuple[Predictions, Sequence[Example]]],
) -> Context:
    """What the task's metrics need to score one model on `examples`.

    Args:
        task: its metrics say whether there are thresholds to choose.
        examples: those that are scored.
        chosen_on: gives the model's predictions on the examples on which thresholds are chosen, and these examples; it
            is called only if a metric has a threshold.

    Raises:
        DataError: a threshold cannot be chosen, such as where labels are hidden.
    """
    kind, context = KINDS.get(task.kind), Context.of(task, examples)
    wanted = [metric for metric in map(kind.metric, task.metrics) if metric.has_threshold]
    if not wanted:
        return context
    said, others = chosen_on()
    truth, own = kind.known_truths(others), Context.of(task, others)
    return replace(context, thresholds={each.column.name: each.threshold(said, truth, own) for each in wanted})


class Evaluator:
    """Predictions and scores of models on one task's data; every prediction is made once and remembered.

    `seconds` is the time that all predictions took so far; `known` is what another evaluator of the same task and
    setting remembered.
    """

    def __init__(
        self,
        *,
        task: Task,
        data: TaskData,
        max_length: int,
        token_budget: int,
        device: str,
        known: Iterable[Remembered] = (),
    ) -> None:
        self.task = task
        self.data = data
        self.max_length = max_length
        self.token_budget = token_budget
        self.device = device
        self.seconds = 0.0
        self._told: dict[tuple[Hashable, ...], Any] = {tuple(each.key): each.value for each in known}
        self._known: dict[tuple[Hashable, ...], Any] = {}
        self._settled: dict[tuple[Hashable, ...], Predictions] = {}
        self._forms: dict[tuple[Hashable, ...], TypeAdapter[Any]] = {}
        self._indexes: dict[str, Index] = {}

    def known(self, content_hash: str) -> tuple[Remembered, ...]:
        """What is remembered of the model with this hash, for another evaluator of the same task and setting."""
        written = {key: self._written(key) for key in self._known}
        told = {**self._told, **written}
        return tuple(Remembered(key, value) for key, value in told.items() if key[0] == content_hash)  # type: ignore[arg-type]

    def remember(self, key: tuple[str | int | None, ...], make: Callable[[], T], *, form: Any) -> T:
        """What `make` gave when `key` was first asked for, here or by the evaluator that `known` came from.

        Args:
            key: the model's content hash first, then all else that the result depends on within one task and setting.
            make: always gives the same result for the same key.
            form: the type of the result, which pydantic can write as JSON.
        """
        if key not in self._known:
            self._forms[key] = TypeAdapter(form)
            self._known[key] = self._forms[key].validate_python(self._told[key]) if key in self._told else make()
        found: T = self._known[key]
        return found

    def _written(self, key: tuple[Hashable, ...]) -> Any:
        value = self._known[key]
        return value.stored() if isinstance(value, Predictions) else self._forms[key].dump_python(value, mode="json")

    def examples(self, split: str) -> tuple[Example, ...]:
        """The examples of `split`; raises `DataError` if the data have no such split."""
        if split not in self.data.splits:
            found = ", ".join(self.data.splits)
            raise DataError(f"{self.task.name}: the data has no split '{split}'. Found: {found}.")
        return self.data.splits[split]

    def predict(self, loaded: Loaded, split: str, limit: int | None = None) -> Predictions:
        """Predictions of a loaded model on `split`, or on its first `limit` examples.

        In a shifted set with fewer labels than the task, they are over the labels of the set. If the kind decides by a
        threshold, it is chosen for this model by itself: on the split that `tuned_on` gives, or, if that is `split`,
        as the official scripts of SQuAD 2.0 do, on the examples that are predicted.
        """
        kind, key = KINDS.get(self.task.kind), (loaded.content_hash, split, limit)
        if not kind.thresholded:
            return self._predict(loaded, split, limit)
        if key not in self._settled:
            chosen = tuned_on(self.task, split)
            most = limit if chosen == split else None
            on = ChosenOn(chosen, self._predict(loaded, chosen, most), self.examples(chosen)[:most])
            self._settled[key] = kind.settled(self._predict(loaded, split, limit), self.task, chosen_on=on)
        return self._settled[key]

    def _predict(self, loaded: Loaded, split: str, limit: int | None) -> Predictions:
        """What the model says before a threshold was chosen."""
        key = (loaded.content_hash, "predictions", split, limit)
        if key not in self._known and key in self._told:
            self._known[key] = KINDS.get(self.task.kind).predicts.read(self._told[key])
        if key not in self._known:
            started = time.perf_counter()
            found = self._ask(loaded, self.examples(split)[:limit])
            fold = fold_of(self.task, split)
            self._known[key] = found if fold is None else found.folded(fold)
            self.seconds += time.perf_counter() - started
        known: Predictions = self._known[key]
        return known

    def index(self, loaded: Loaded) -> Index:
        """The vectors of the corpus by a loaded model, encoded once while this evaluator lives."""
        if loaded.content_hash not in self._indexes:
            started = time.perf_counter()
            found = self.vectors(loaded, self.examples(CORPUS))
            taken = time.perf_counter() - started
            self._indexes[loaded.content_hash] = Index(found, taken)
            self.seconds += taken
        return self._indexes[loaded.content_hash]

    def vectors(self, loaded: Loaded, texts: Sequence[Example]) -> np.ndarray[Any, Any]:
        """The vectors of texts by a loaded model, [texts, width] float32."""
        return vectors(loaded.model, loaded.tokenizer, texts, **self._options())

    def _ask(self, loaded: Loaded, examples: Sequence[Example]) -> Predictions:
        """Predictions; queries are answered from the index, or from their own documents if they have these."""
        kind = KINDS.get(self.task.kind)
        if not kind.searches or kind.searched(examples):
            return predict(loaded.model, loaded.tokenizer, examples, **self._options())
        before = self.seconds
        index = self.index(loaded)
        self.seconds = before  # the caller's clock runs already
        uids = [document.uid for document in self.examples(CORPUS)]
        return kind.find(self.vectors(loaded, examples), index.vectors, uids)

    def _options(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "max_length": self.max_length,
            "token_budget": self.token_budget,
            "device": self.device,
        }

    def score(self, loaded: Loaded, split: str) -> dict[str, float]:
        """The task's official metrics of a loaded model on `split`, by column name.

        Raises `DataError` if labels are hidden or a metric is undefined, as correlation is for a constant output.
        """
        predictions, context = self.predict(loaded, split), self.context(loaded, split)
        return KINDS.get(self.task.kind).score(predictions, self.examples(split), self.task.metrics, context)

    def context(self, loaded: Loaded, split: str) -> Context:
        """What the task's metrics need to score a loaded model on `split`.

        Thresholds are chosen on the split that `tuned_on` gives, over the labels of `split`.
        """
        return context_of(
            scored_as(self.task, split),
            self.examples(split),
            chosen_on=lambda: self._chosen_on(loaded, split),
        )

    def _chosen_on(self, loaded: Loaded, split: str) -> tuple[Predictions, Sequence[Example]]:
        """What thresholds for `split` are chosen on, with its labels if they are fewer than the task's."""
        chosen, fold = tuned_on(self.task, split), fold_of(self.task, split)
        said, examples = self.predict(loaded, chosen), self.examples(chosen)
        if fold is None:
            return said, examples
        return said.folded(fold), [
            replace(each, label=fold[each.label]) if isinstance(each.label, int) else each for each in examples
        ]
