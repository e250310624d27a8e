"""What the kinds of task have in common whose every answer is one token of running text."""

from __future__ import annotations

from bench.tasks.kinds.kind import TaskKind
from bench.tasks.predictions import TextLosses


class TokenKind(TaskKind):
    """A kind whose models give every token of the vocabulary a score at each place, and are judged by perplexity.

    Two models are compared on the first features of each split only: more would take too long, as there is a
    distribution over the vocabulary per token.
    """

    predicts = TextLosses
    per_token = True
