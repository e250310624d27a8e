"""Inputs of models whose work depends on what they read: examples of the evaluation set that stand for all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.base.errors import ModelError
from bench.measures.base.examples import EvaluationExamples, spread
from bench.measures.computation.depth import dynamic_depth
from bench.measures.computation.tokens import dynamic_tokens
from bench.measures.timing.calls import forward
from bench.measures.timing.steady import Side

if TYPE_CHECKING:
    from torch import Tensor, nn

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
            raise ModelError("a model that adapts is timed on evaluation examples, which have their own lengths")
        return example_sides(artifact, reference, self, batch_size, device=device)

    def batches(self, size: int, pad_id: int) -> list[dict[str, Tensor]]:
        """The inputs in padded batches of up to `size`, those of similar length together."""
        ordered = sorted(self.inputs, key=lambda each: each["input_ids"].size(1))
        return [_padded(ordered[start : start + size], pad_id) for start in range(0, len(ordered), size)]


def typical(artifact: Loaded, reference: Loaded, examples: EvaluationExamples, *, device: str) -> Typical | None:
    """Examples on which to time two models if what one executes depends on the example; None if neither does."""
    if not any(depends_on_example(side.model) for side in (artifact, reference)):
        return None
    return representative(artifact, reference, examples, device=device)


def representative(artifact: Loaded, reference: Loaded, examples: EvaluationExamples, *, device: str) -> Typical:
    """Evaluation examples that stand for all of them, for these two models.

    Models that adapt run up to `POOL` examples one by one. These are put in order by the layers that the artifact runs,
    or by the tokens that its layers run together, then by those of the reference, then by tokens, and `CHOSEN` are
    taken at even steps: so their mean layers, or their mean tokens if neither model adapts, are close to the pool's,
    and the same examples are chosen in every process.
    """
    import torch

    sides = (artifact, reference)
    pool = [
        {name: values.to(device) for name, values in each.items()}
        for each in examples.inputs(reference.tokenizer, POOL)
    ]
    keys = []
    with torch.inference_mode():
        for inputs in pool:
            ran = [_executed(side, inputs) for side in sides]
            keys.append((*ran, inputs["input_ids"].size(1)))
    order = sorted(range(len(pool)), key=lambda row: keys[row])
    chosen = [order[place] for place in spread(len(order), CHOSEN)]
    means = [
        sum(keys[row][place] for row in chosen) / len(chosen) if dynamic_depth(side.model) is not None else None
        for place, side in enumerate(sides)
    ]
    return Typical([pool[row] for row in chosen], *means)


def depends_on_example(model: nn.Module) -> bool:
    """Whether what a model executes depends on more than the number of tokens that it is given."""
    return dynamic_depth(model) is not None or dynamic_tokens(model) is not None


def _executed(side: Loaded, inputs: dict[str, Tensor]) -> float:
    """Layers that one example runs, or tokens that its layers keep together; 0 if that is the same for all."""
    depth, tokens = dynamic_depth(side.model), dynamic_tokens(side.model)
    if depth is None and tokens is None:
        return 0
    side.model(**inputs)
    if depth is not None:
        return int(depth.executed_layers()[0])
    return 0 if tokens is None else float(tokens.kept_shares()[0].sum()) * inputs["input_ids"].size(1)


def example_sides(
    artifact: Loaded, reference: Loaded, read: Typical, batch_size: int, *, device: str
) -> tuple[Side, Side]:
    """Both models on the same evaluation examples in batches, without padding if the batch size is 1."""
    batches = read.batches(batch_size, artifact.tokenizer.pad_token_id)

    def side(loaded: Loaded) -> Side:
        calls = [forward(loaded.model, each, device) for each in batches]
        return Side(loaded.model, in_turn(calls), len(calls))

    return side(artifact), side(reference)


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
