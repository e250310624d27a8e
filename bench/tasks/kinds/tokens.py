"""What the kinds of task have in common whose every answer is one token of running text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import Predictions, TaskKind
from bench.tasks.kinds.sequence import metric_names

if TYPE_CHECKING:
    from torch import Tensor


class TokenKind(TaskKind):
    """A kind whose models give every token of the vocabulary a score at each place, and are judged by perplexity.

    `asked` is the word for the tokens that are predicted. `compared` is how many features of each split, from its
    beginning, two models' distributions are compared on: over a vocabulary a token, more would take too long.
    """

    per_token = True
    asked: ClassVar[str]
    compared: ClassVar[int]

    def logits(self, outputs: Any) -> tuple[Tensor, ...]:
        """Scores of the token that belongs to each place, [batch, length, vocabulary]."""
        return (outputs.logits,)

    def score(self, predictions: Predictions, examples: Sequence[Example], metrics: Sequence[str]) -> dict[str, float]:
        """`perplexity`, over the predicted tokens of all examples together."""
        from bench.tasks.metrics.metric import score_metrics

        names = metric_names(self.name, metrics, ("perplexity",))
        if predictions.losses is None:
            raise DataError(f"{self.name}: nothing to score: the predictions hold no losses")
        nats, tokens = predictions.losses.T.tolist()
        return score_metrics(names, nats, tokens)
