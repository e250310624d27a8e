"""Which tokens of a text are to be predicted, and what stands in their places (Devlin et al. 2019, §3.1)."""

from __future__ import annotations

import random
from typing import NamedTuple

from bench.tasks.features import IGNORED, Maskable

CHOSEN = 0.15  # of the tokens that may be predicted
MASKED, RANDOM = 0.8, 0.1  # of the chosen places; the others keep their token


class Masked(NamedTuple):
    """What a model reads, and for each token what it should have read there, -100 where nothing is predicted."""

    tokens: list[int]
    labels: list[int]


def masked(text: Maskable, draws: random.Random) -> Masked:
    """`text` with a new choice of places.

    15 % of the n places are chosen, as floor(0.15 n + u) with u uniform in [0, 1), so that the share is met on average
    over texts of every length (RoBERTa in fairseq), but at least one (google-research/bert): below 7 places more than
    15 %. Of the chosen 80 % become the mask token, 10 % a random one, which may be the one that was there, and 10 %
    stay.
    """
    tokens, labels = list(text.tokens), [IGNORED] * len(text.tokens)
    count = min(len(text.places), max(1, int(CHOSEN * len(text.places) + draws.random())))
    for place in draws.sample(text.places, count):
        labels[place] = tokens[place]
        fate = draws.random()
        if fate < MASKED:
            tokens[place] = text.mask
        elif fate < MASKED + RANDOM:
            tokens[place] = draws.choice(text.words)
    return Masked(tokens, labels)
