"""What one example costs: the mean over the ways in which the model is really executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, cast

from bench.base.errors import ModelError
from bench.measures.computation.depth import dynamic_depth
from bench.measures.computation.tokens import dynamic_tokens
from bench.measures.computation.trace import Ledger, trace

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.measures.computation.depth import DynamicDepth, Exits
    from bench.measures.computation.tokens import DynamicTokens, TokenShares


class Way(NamedTuple):
    """One way through a model: what it costs, and how many examples take it."""

    ledger: Ledger
    examples: int


@dataclass(frozen=True, kw_only=True)
class Executions:
    """Every way that examples take through a model; one of fixed depth has a single one.

    All means are over examples and exact: an int if the mean is whole.
    """

    ways: tuple[Way, ...]

    @property
    def uncounted(self) -> dict[str, int]:
        """Calls of operators without a counting formula, the maximum over all ways."""
        most: Counter[str] = Counter()
        for way in self.ways:
            most |= Counter(way.ledger.uncounted)
        return dict(most)

    @property
    def coverage(self) -> float:
        """Counted calls of heavy operators over all of them, over all examples."""
        heavy = sum(way.ledger.heavy * way.examples for way in self.ways)
        return sum(len(way.ledger.operations) * way.examples for way in self.ways) / heavy if heavy else 1.0

    def mean(self, count: Callable[[Ledger], int]) -> int | float:
        """The mean of one count."""
        return self.means(lambda ledger: {"": count(ledger)})[""]

    def means(self, counts: Callable[[Ledger], dict[str, int]]) -> dict[str, int | float]:
        """The mean of each of several counts by name; a way without a name has 0 of it."""
        totals: Counter[str] = Counter()
        for way in self.ways:
            for name, count in counts(way.ledger).items():
                totals[name] += count * way.examples
        examples = sum(way.examples for way in self.ways)
        return {name: _number(Fraction(total, examples)) for name, total in totals.items()}


def executions(
    model: nn.Module, inputs: dict[str, Tensor], exits: Exits | None, kept: TokenShares | None = None
) -> Executions:
    """Count `model(**inputs)`: one forward pass for a model of fixed depth, else one for each depth that occurs.

    One that drops tokens by what they say has one for each of the shares that stand for all.

    Args:
        model: a model; with `exits` it is or holds a `DynamicDepth`.
        inputs: one made example.
        exits: examples by executed layers, None for fixed depth. The made example is counted at each of these depths,
            so that the mean is over the real exits at the stated length, comparable with models of fixed depth.
        kept: the shares of its tokens that each layer keeps; the made example is counted with each of the chosen ones.

    Raises:
        ModelError: the model cannot be traced, or does not exit at the requested layer.
    """
    if kept is not None:
        tokens = cast("DynamicTokens", dynamic_tokens(model))
        counted = []
        for shares in kept.chosen:
            with tokens.keeping(shares):
                counted.append(Way(trace(model, inputs), 1))
        return Executions(ways=tuple(counted))
    if exits is None:
        return Executions(ways=(Way(trace(model, inputs), 1),))
    dynamic = cast("DynamicDepth", dynamic_depth(model))
    ways = []
    for layers, examples in exits.items():
        with dynamic.leaving_after(layers):
            ways.append(Way(trace(model, inputs), examples))
        ran = [int(row) for row in dynamic.executed_layers()]
        if ran != [layers]:
            raise ModelError(f"{type(model).__name__}.leaving_after({layers}) ran {ran} layers, expected [{layers}]")
    return Executions(ways=tuple(ways))


def _number(mean: Fraction) -> int | float:
    return int(mean) if mean.denominator == 1 else float(mean)
