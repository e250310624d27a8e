"""Timing a function of texts beside a model: both are asked about the same evaluation examples, from text to answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import ModelError
from bench.measures.base.examples import EvaluationExamples, spread
from bench.measures.timing.steady import Side
from bench.measures.timing.typical import CHOSEN, POOL, ExamplesRead, in_turn
from bench.tasks.evaluate import predict
from bench.tasks.kinds.kind import KINDS
from bench.tasks.outputs import vectors

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded
    from bench.spec.setting import Measuring
    from bench.spec.suite import Task
    from bench.tasks.examples import Example


class Asked(NamedTuple):
    """Evaluation examples that stand for all, and their mean tokens by the reference's tokenizer."""

    examples: list[Example]
    task: Task
    max_length: int
    tokens: float

    def told(self) -> ExamplesRead:
        """What a record says of them."""
        return ExamplesRead(len(self.examples), self.tokens, None, None, from_text=True)

    def sides(
        self,
        artifact: Loaded,
        reference: Loaded,
        batch_size: int,
        length: int,
        *,
        measuring: Measuring,
        device: str,
    ) -> tuple[Side, Side]:
        """Both models on the examples in batches; raises `ModelError` for another length than the setting's."""
        if length != measuring.length:
            raise ModelError("a function of texts is timed on evaluation examples, which have their own lengths")
        starts = range(0, len(self.examples), batch_size)
        batches = [self.examples[start : start + batch_size] for start in starts]

        def side(loaded: Loaded) -> Side:
            calls = [lambda batch=batch: self.ask(loaded, batch, device) for batch in batches]
            return Side(loaded.model, in_turn(calls), len(calls))

        return side(artifact), side(reference)

    def ask(self, loaded: Loaded, examples: Sequence[Example], device: str) -> object:
        """What one model says of texts: of a network that includes its tokenizer, and reading its outputs."""
        options: dict[str, Any] = {
            "task": self.task,
            "max_length": self.max_length,
            "token_budget": self.max_length * len(examples),
            "device": device,
        }
        ask = vectors if KINDS.get(self.task.kind).searches else predict
        return ask(loaded.model, loaded.tokenizer, examples, **options)


def asked(artifact: Loaded, reference: Loaded, examples: EvaluationExamples) -> Asked | None:
    """Examples on which to time a function of texts, at even steps of their tokens; None if the artifact is none."""
    from bench.models.texts import closed

    if closed(artifact.model) is None:
        return None
    pool = examples.chosen(POOL)
    kind, task, length = KINDS.get(examples.task.kind), examples.task, examples.max_length
    features = kind.encode(pool, reference.tokenizer, task=task, max_length=length, training=False)
    tokens = [0] * len(pool)
    for feature in features:
        tokens[feature.example] += feature.tokens
    order = sorted(range(len(pool)), key=lambda row: tokens[row])
    chosen = [order[place] for place in spread(len(order), CHOSEN)]
    return Asked([pool[row] for row in chosen], task, length, sum(tokens[row] for row in chosen) / len(chosen))
