"""What a model says of each row of its calls while it predicts the examples of a split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import nn

    from bench.artifacts.artifact import Loaded
    from bench.tasks.evaluate import Evaluator

T = TypeVar("T")


def watched(evaluator: Evaluator, side: Loaded, split: str, told: Callable[[nn.Module, int], list[T]]) -> list[T]:
    """What the model tells after every call, one entry per row, over the examples of `split`.

    Args:
        evaluator: whose task and limits hold.
        side: the model, which predicts all examples once more.
        split: their name.
        told: is given the model and the number of rows of the call that has just ended.
    """
    from bench.tasks.evaluate import predict

    seen: list[T] = []

    def look(model: nn.Module, _args: Any, inputs: dict[str, Any], _output: Any) -> None:
        seen.extend(told(model, len(inputs["input_ids"])))

    hook = side.model.register_forward_hook(look, with_kwargs=True)
    try:
        predict(
            side.model,
            side.tokenizer,
            evaluator.examples(split),
            task=evaluator.task,
            max_length=evaluator.max_length,
            token_budget=evaluator.token_budget,
            device=evaluator.device,
        )
    finally:
        hook.remove()
    return seen
