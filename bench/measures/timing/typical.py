"""Inputs of models whose work depends on what they read: examples of the evaluation set that stand for all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.base.errors import ModelError
from bench.measures.base.examples import EvaluationExamples, spread
from bench.measures.computation.depth import dynamic_depth
from bench.measures.timing.calls import forward
from bench.measures.timing.steady import Side

if TYPE_CHECKING:
    from torch import Tensor

    from bench.artifacts.artifact import Loaded
    from bench.spec.setting import Measuring

POOL = 128  # examples, spread over the evaluation set, of which the timed ones are chosen
CHOSEN = 16  # examples in one sample of a time


class ExamplesRead(NamedTuple):
    """Which evaluation examples were timed: how many, their mean tokens, and the mean layers that each model ran.

    `layers` is None for a model of fixed depth. `from_text` says that a call began with the text and ended with the
    answer, so that tokenization was timed as well.
    """

    examples: int
    tokens: float
    layers: float | None
    reference_layers: float | None
    from_text: bool = False


class Typical(NamedTuple):
    """Evaluation examples that stand for all: inputs [1, length], and the mean layers that each of two models runs."""

    inputs: list[dict[str, Tensor]]
    layers: float | None
    reference_layers: float | None

    @property
    def tokens(self) -> float:
        """Mean tokens of an input."""
        return sum(each["input_ids"].size(1) for each in self.inputs) / len(self.inputs)

    def told(self) -> ExamplesRead:
        """What a record says of them."""
        return ExamplesRead(len(self.inputs), self.tokens, self.layers, self.reference_layers)

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
            raise ModelError("a model of dynamic depth is timed on evaluation examples, which have their own lengths")
        batches = self.batches(batch_size, artifact.tokenizer.pad_token_id)

        def side(loaded: Loaded) -> Side:
            calls = [forward(loaded.model, each, device) for each in batches]
            return Side(loaded.model, in_turn(calls), len(calls))

        return side(artifact), side(reference)

    def batches(self, size: int, pad_id: int) -> list[dict[str, Tensor]]:
        """The inputs in padded batches of up to `size`, those of similar length together."""
        ordered = sorted(self.inputs, key=lambda each: each["input_ids"].size(1))
        return [_padded(ordered[start : start + size], pad_id) for start in range(0, len(ordered), size)]


def typical(artifact: Loaded, reference: Loaded, examples: EvaluationExamples, *, device: str) -> Typical | None:
    """Examples on which to time two models of which one is of dynamic depth; None if neither is.

    Both models run up to `POOL` examples one by one. These are put in order by the layers that the artifact runs, then
    by those of the reference, then by tokens, and `CHOSEN` are taken at even steps: so their mean layers are close to
    the pool's, and the same examples are chosen in every process.
    """
    import torch

    sides = [dynamic_depth(artifact.model), dynamic_depth(reference.model)]
    if sides == [None, None]:
        return None
    pool = [
        {name: values.to(device) for name, values in each.items()}
        for each in examples.inputs(reference.tokenizer, POOL)
    ]
    keys = []
    with torch.inference_mode():
        for inputs in pool:
            ran = []
            for side, dynamic in zip((artifact, reference), sides, strict=True):
                if dynamic is not None:
                    side.model(**inputs)
                    ran.append(int(dynamic.executed_layers()[0]))
                else:
                    ran.append(0)
            keys.append((*ran, inputs["input_ids"].size(1)))
    order = sorted(range(len(pool)), key=lambda row: keys[row])
    chosen = [order[place] for place in spread(len(order), CHOSEN)]
    means = [sum(keys[row][side] for row in chosen) / len(chosen) or None for side in (0, 1)]
    return Typical([pool[row] for row in chosen], *means)


def in_turn(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """One call that makes all `calls`, one after the other."""

    def call() -> None:
        for each in calls:
            each()

    return call


def _padded(inputs: Sequence[dict[str, Tensor]], pad_id: int) -> dict[str, Tensor]:
    import torch

    longest = max(each["input_ids"].size(1) for each in inputs)

    def filled(name: str) -> Tensor:
        fill = pad_id if name.endswith("input_ids") else 0
        rows = [torch.nn.functional.pad(each[name], (0, longest - each[name].size(1)), value=fill) for each in inputs]
        return torch.cat(rows)

    return {name: filled(name) for name in inputs[0]}
