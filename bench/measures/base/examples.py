"""Evaluation examples as a probe is given them: read only if they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from bench.spec.suite import Task
    from bench.tasks.examples import Example


@dataclass(frozen=True, kw_only=True)
class EvaluationExamples:
    """Where a probe finds the evaluation examples of its cell; nothing is read before it is asked for.

    `data` is the file of the task's data in the store.
    """

    data: Path
    task: Task
    max_length: int

    def inputs(self, tokenizer: Any, count: int) -> list[dict[str, Tensor]]:
        """Single inputs [1, length] without padding of up to `count` examples, evenly spread over the first split.

        An example that is several inputs (windows, candidates) gives its first. Raises `DataError` if the task's kind
        cannot encode the examples.
        """
        from bench.tasks.batching import collate
        from bench.tasks.kinds.kind import KINDS

        chosen = self.chosen(count)
        features = KINDS.get(self.task.kind).encode(
            chosen, tokenizer, task=self.task, max_length=self.max_length, training=False
        )
        firsts = {feature.example: feature for feature in reversed(features)}
        batches = [collate([firsts[example]], pad_id=tokenizer.pad_token_id).inputs for example in sorted(firsts)]
        return [_bare(batch) for batch in batches]

    def chosen(self, count: int) -> list[Example]:
        """Up to `count` examples, evenly spread over the first split."""
        from bench.tasks.examples import read_data

        split = self.task.evaluate[0]
        found = read_data(self.data, (split,)).splits[split]
        return [found[place] for place in spread(len(found), count)]


def spread(length: int, count: int) -> list[int]:
    """Up to `count` places of a list of `length`, in the middle of as many equal parts."""
    return list(range(length)) if length <= count else [int((place + 0.5) * length / count) for place in range(count)]


def _bare(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The first row without padding."""
    length = int(inputs["attention_mask"][0].sum()) if "attention_mask" in inputs else inputs["input_ids"].size(1)
    return {name: values[:1, :length] for name, values in inputs.items()}
