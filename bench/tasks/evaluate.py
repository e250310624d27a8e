"""Predictions of a model on the examples of a task, quickly, and their scores."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import TypeAdapter

from bench.base.errors import DataError, ModelError
from bench.models.limits import positions_of
from bench.tasks.examples import CORPUS
from bench.tasks.batching import collate, length_batches
from bench.tasks.features import Batch, Feature
from bench.tasks.kinds.kind import KINDS
from bench.tasks.predictions import Predictions

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from bench.artifacts.artifact import Loaded
    from bench.spec.suite import Task
    from bench.tasks.examples import Example, TaskData

T = TypeVar("T")
_PORTION = 16384  # texts that are encoded together
_IN_MEMORY = 256 * 2**20
_CPU_TOKENS = 1024  # a CPU gains nothing from larger batches, and small ones mix fewer lengths and so pad less


class Remembered(NamedTuple):
    """One result that an evaluator remembers of a model, as JSON values.

    `key` is the model's content hash, and then all else that the result depends on within one task and setting.
    """

    key: tuple[str | int | None, ...]
    value: Any


class Index(NamedTuple):
    """The vectors of a corpus, [documents, width] float32, and the seconds in which they were encoded."""

    vectors: np.ndarray[Any, Any]
    seconds: float


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
            positions, or an output that is not a finite number.
    """
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
    features = kind.encode(examples, tokenizer, task=task, max_length=max_length, training=False)
    lengths = [len(feature.inputs["input_ids"]) for feature in features]
    _check_positions(model, max(lengths), task=task)
    outputs = _outputs(model, features, lengths, task=task, tokenizer=tokenizer, budget=token_budget, device=device)
    return kind.predict(outputs, features, examples, tokenizer=tokenizer)


def vectors(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[Example],
    *,
    task: Task,
    max_length: int,
    token_budget: int,
    device: str,
) -> np.ndarray[Any, Any]:
    """The vector of every text, [texts, width] float32, in their order; arguments and errors as for `predict`.

    Texts are encoded in portions, so that no more than the vectors grows with their number. Vectors of more than
    `_IN_MEMORY` bytes are in a temporary file that is mapped, and gone with the array.
    """
    import numpy as np

    kind, found = KINDS.get(task.kind), np.empty((0, 0), dtype=np.float32)
    for start in range(0, len(texts), _PORTION):
        portion = texts[start : start + _PORTION]
        features = kind.encode(portion, tokenizer, task=task, max_length=max_length, training=False)
        lengths = [len(feature.inputs["input_ids"]) for feature in features]
        _check_positions(model, max(lengths), task=task)
        outputs = _outputs(model, features, lengths, task=task, tokenizer=tokenizer, budget=token_budget, device=device)
        if not start:
            found = _room(len(texts), len(outputs[0][0]))
        for row, (vector,) in enumerate(outputs, start=start):
            found[row] = vector
    return found


def _room(count: int, width: int) -> np.ndarray[Any, Any]:
    """An array [count, width] float32 to be filled, in a file if it is large."""
    import numpy as np

    shape = (count, width)
    if count * width * 4 <= _IN_MEMORY:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile() as stream:
        return np.memmap(stream, dtype=np.float32, mode="w+", shape=shape)


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
        """Predictions of a loaded model on `split`, or on its first `limit` examples."""
        key = (loaded.content_hash, "predictions", split, limit)
        if key not in self._known and key in self._told:
            self._known[key] = KINDS.get(self.task.kind).predicts.read(self._told[key])
        if key not in self._known:
            started = time.perf_counter()
            self._known[key] = self._predict(loaded, self.examples(split)[:limit])
            self.seconds += time.perf_counter() - started
        found: Predictions = self._known[key]
        return found

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

    def _predict(self, loaded: Loaded, examples: Sequence[Example]) -> Predictions:
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
        predictions = self.predict(loaded, split)
        return KINDS.get(self.task.kind).score(predictions, self.examples(split), self.task.metrics)


def _outputs(
    model: nn.Module,
    features: Sequence[Feature],
    lengths: Sequence[int],
    *,
    task: Task,
    tokenizer: Any,
    budget: int,
    device: str,
) -> list[tuple[Any, ...]]:
    """What the kind reads from the model, one tuple of numpy arrays per feature, unpadded if it is per token."""
    import torch

    kind = KINDS.get(task.kind)
    if device == "cpu":
        budget = min(budget, _CPU_TOKENS)
    was_training = model.training
    model.eval()
    rows: list[list[int]] = []
    found: list[tuple[Any, ...]] = []
    try:
        with torch.inference_mode():
            for positions in length_batches(lengths, budget_tokens=budget):
                batch = collate(features, pad_id=tokenizer.pad_token_id, rows=positions)
                inputs, targets = (
                    {name: values.to(device, non_blocking=True) for name, values in part.items()}
                    for part in (batch.inputs, batch.targets)
                )
                found.append(kind.run(model, Batch(inputs, targets, positions), tokenizer))
                rows.append(positions)
            tables = [tuple(_numbers(part) for part in parts) for parts in found]
    finally:
        model.train(was_training)
    outputs: list[tuple[Any, ...]] = [()] * len(features)
    for positions, parts in zip(rows, tables, strict=True):
        for place, row in enumerate(positions):
            outputs[row] = tuple(part[place, : lengths[row]] if kind.per_token else part[place] for part in parts)
    _check_finite(outputs, task=task)
    return outputs


def _numbers(part: Tensor) -> np.ndarray[Any, Any]:
    """Whole numbers as they are, others in 32 bits."""
    found: np.ndarray[Any, Any] = (part.float() if part.is_floating_point() else part).cpu().numpy()
    return found


def _check_positions(model: nn.Module, longest: int, *, task: Task) -> None:
    positions = positions_of(getattr(model, "config", None))
    if positions is not None and positions < longest:
        raise ModelError(
            f"{task.name}: an example has {longest} tokens, but the model has only {positions} positions. "
            f"Set max_length to {positions} or less."
        )


def _check_finite(outputs: Sequence[tuple[Any, ...]], *, task: Task) -> None:
    import numpy as np

    bad = sum(not all(np.isfinite(part).all() for part in parts) for parts in outputs)
    if bad:
        raise ModelError(
            f"{task.name}: the model's output is not a finite number for {bad} of {len(outputs)} inputs, "
            "so it cannot be evaluated. Its weights are probably not finite either; train or compress it again."
        )
