"""Models that drop tokens by what they say: their interface, and what share of its tokens each example keeps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from bench.base.errors import ModelError
from bench.measures.base.examples import spread
from bench.measures.computation.watching import watched

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.artifacts.artifact import Loaded
    from bench.measures.base.measure import Pair
    from bench.tasks.evaluate import Evaluator

CHOSEN = 16  # examples at whose shares a model is counted


@runtime_checkable
class DynamicTokens(Protocol):
    """What a model that drops tokens by what they say offers so that it can be counted.

    In a batch each row counts for itself. With an attribute `adapts` that is false, what it keeps depends on the length
    alone, and an example of the stated length says it.
    """

    def kept_shares(self) -> Tensor:
        """The share of its own tokens that each row of the last call kept, by layer: [batch, layers], above 0."""

    def keeping(self, shares: Sequence[float]) -> AbstractContextManager[object]:
        """While it lasts every input keeps these shares of its tokens, with the decisions that this takes."""


class TokenShares(NamedTuple):
    """What the examples of an evaluation keep, by layer: the mean share, and the shares of some that stand for all."""

    examples: int
    mean: tuple[float, ...]
    chosen: tuple[tuple[float, ...], ...]


def dynamic_tokens(model: nn.Module) -> DynamicTokens | None:
    """What says which tokens `model` keeps, if that depends on more than their number; else None."""
    return next(
        (each for each in model.modules() if isinstance(each, DynamicTokens) and getattr(each, "adapts", True)), None
    )


def token_shares(pair: Pair, side: Loaded) -> TokenShares | None:
    """What the examples of all evaluation splits keep; None for a model that drops no tokens by what they say.

    The chosen ones are `CHOSEN` at even steps of the order by the sum of their shares, so that their mean is close to
    that of all. Raises `ModelError` if the model does not report it for every row.
    """
    if dynamic_tokens(side.model) is None:
        return None
    found = [row for split in pair.task.evaluate for row in _of_split(pair.evaluator, side, split)]
    if not found:
        raise ModelError("the evaluation splits have no examples, so it is not known which tokens are kept")
    order = sorted(found, key=sum)
    mean = tuple(sum(layer) / len(found) for layer in zip(*found, strict=True))
    return TokenShares(len(found), mean, tuple(tuple(order[place]) for place in spread(len(order), CHOSEN)))


def _of_split(evaluator: Evaluator, side: Loaded, split: str) -> list[list[float]]:
    return evaluator.remember(
        (side.content_hash, "kept tokens", split),
        lambda: watched(evaluator, side, split, _rows),
        form=list[list[float]],
    )


def _rows(model: nn.Module, batch: int) -> list[list[float]]:
    dynamic = dynamic_tokens(model)
    shares: list[list[float]] = [] if dynamic is None else dynamic.kept_shares().tolist()
    if len(shares) != batch or min((min(row) for row in shares), default=0.0) <= 0:
        raise ModelError(
            f"{type(model).__name__}.kept_shares() gave {shares[:2]} for a batch of {batch}: expected one row per "
            "input with a share above 0 per layer."
        )
    return shares
