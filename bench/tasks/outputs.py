"""What a model gives for the examples of a task: the outputs that a kind reads, and the vectors of texts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import ModelError
from bench.models.limits import positions_of
from bench.tasks.batching import collate, length_batches
from bench.tasks.features import Feature
from bench.tasks.kinds.kind import KINDS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from bench.models.texts import TextFunction
    from bench.spec.suite import Task
    from bench.tasks.examples import Example

_PORTION = 16384  # texts that are encoded together
_IN_MEMORY = 256 * 2**20
_CPU_TOKENS = 1024  # a CPU gains nothing from larger batches, and small ones mix fewer lengths and so pad less


class Index(NamedTuple):
    """The vectors of a corpus, [documents, width] float32, and the seconds in which they were encoded."""

    vectors: np.ndarray[Any, Any]
    seconds: float


def outputs_of(
    model: nn.Module,
    features: Sequence[Feature],
    *,
    task: Task,
    tokenizer: Any,
    budget: int,
    device: str,
) -> list[tuple[Any, ...]]:
    """What the kind reads from the model, one tuple of numpy arrays per feature, unpadded if it is per token.

    Raises:
        ModelError: more tokens than the model has positions, or an output that is not a finite number.
    """
    import torch

    kind, lengths = KINDS.get(task.kind), [feature.tokens for feature in features]
    _check_positions(model, max(feature.longest for feature in features), task=task)
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
                found.append(kind.run(model, batch.to(device), tokenizer))
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


def answers_of(model: TextFunction, examples: Sequence[Example], *, task: Task) -> Any:
    """What a function of texts says of every example, as the kind's predictions, or as vectors if the kind searches.

    Raises `ModelError` and `UnavailableError` as `TaskKind.heard`.
    """
    kind = KINDS.get(task.kind)
    said = model.ask([kind.handed(example) for example in examples], [example.uid for example in examples])
    return kind.heard(said, examples, task=task, name=model.name, outputs=model.labels)


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
    """The vector of every text, [texts, width] float32, in their order; arguments as of `evaluate.predict`.

    Texts are encoded in portions, so that no more than the vectors grows with their number. Vectors of more than
    `_IN_MEMORY` bytes are in a temporary file that is mapped, and gone with the array.
    """
    import numpy as np

    from bench.models.texts import TextFunction

    kind, found = KINDS.get(task.kind), np.empty((0, 0), dtype=np.float32)
    for start in range(0, len(texts), _PORTION):
        portion = texts[start : start + _PORTION]
        if isinstance(model, TextFunction):
            rows = answers_of(model, portion, task=task)
        else:
            features = kind.encode(portion, tokenizer, task=task, max_length=max_length, training=False)
            outputs = outputs_of(model, features, task=task, tokenizer=tokenizer, budget=token_budget, device=device)
            rows = [vector for (vector,) in outputs]
        if not start:
            found = _room(len(texts), len(rows[0]))
        for row, vector in enumerate(rows, start=start):
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
