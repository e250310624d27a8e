"""The search for a change that flips a label: words by importance, then the best replacement of each, greedily."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.measures.attacks.words import Words

if TYPE_CHECKING:
    import numpy as np

    from bench.measures.attacks.candidates import Candidates

    Array = np.ndarray[Any, Any]

RANKED_WORDS = 64


@dataclass(frozen=True, kw_only=True)
class Target:
    """One text to attack: `label` is both its true class and what the model says, `clean` its probability."""

    text: str
    label: int
    clean: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attack on one text ended: whether the label flipped, texts scored, and words changed of how many."""

    flipped: bool
    queries: int
    changed: int
    words: int
    text: str


Search = Generator[list[str], "Array", Outcome]


def search(target: Target, sources: Sequence[Candidates], *, budget: int) -> Search:
    """Yield lists of texts, take their class probabilities [texts, classes], and return the outcome.

    The order of queries does not depend on `budget`, which only cuts it off: a larger budget repeats the smaller one's
    run and goes on, so it never flips fewer texts. For the same reason only the first 64 words are ranked.
    """
    words = Words.of(target.text)
    queries = 0
    order, asked = yield from _by_importance(words, target, budget)
    queries += asked
    changes: dict[int, str] = {}
    lowest = target.clean
    for index in order:
        options = _options(words.word(index), sources)[: budget - queries]
        if not options:
            continue
        texts = [words.replaced({**changes, index: option}) for option in options]
        probabilities = yield texts
        queries += len(texts)
        own = probabilities[:, target.label]
        flips = probabilities.argmax(axis=1) != target.label
        best = int((own + ~flips).argmin())  # a flip is below 1, anything else at or above it
        if flips[best]:
            return Outcome(flipped=True, queries=queries, changed=len(changes) + 1, words=len(words), text=texts[best])
        if own[best] < lowest:
            lowest = float(own[best])
            changes[index] = options[best]
    text = words.replaced(changes)
    return Outcome(flipped=False, queries=queries, changed=len(changes), words=len(words), text=text)


def run(searches: Sequence[Search], score: Callable[[list[tuple[int, str]]], Array]) -> list[Outcome]:
    """Run searches side by side, so that one round of all of them is one batch of texts.

    Args:
        searches: searches not yet started.
        score: class probabilities [texts, classes] of (number of the search, text) pairs.

    Returns:
        The outcomes in the order of the searches.
    """
    outcomes: dict[int, Outcome] = {}
    asked: dict[int, list[str]] = {}
    _advance(searches, dict.fromkeys(range(len(searches))), asked, outcomes)
    while asked:
        rows = [(number, text) for number, texts in asked.items() for text in texts]
        probabilities = score(rows)
        answers: dict[int, Array | None] = {}
        position = 0
        for number, texts in asked.items():
            answers[number] = probabilities[position : position + len(texts)]
            position += len(texts)
        asked = {}
        _advance(searches, answers, asked, outcomes)
    return [outcomes[number] for number in range(len(searches))]


def _advance(
    searches: Sequence[Search],
    answers: dict[int, Array | None],
    asked: dict[int, list[str]],
    outcomes: dict[int, Outcome],
) -> None:
    """Give every search its answer (None starts it); it asks again or ends."""
    for number, answer in answers.items():
        try:
            asked[number] = searches[number].send(answer)  # type: ignore[arg-type]
        except StopIteration as end:
            outcomes[number] = end.value


def _by_importance(words: Words, target: Target, budget: int) -> Generator[list[str], Array, tuple[list[int], int]]:
    """Positions of words, the one whose deletion costs the true class most first, and the texts scored for it."""
    count = min(len(words), RANKED_WORDS, budget)
    if count == 0:
        return [], 0
    probabilities = yield [words.replaced({index: ""}) for index in range(count)]
    drops = target.clean - probabilities[:, target.label]
    return sorted(range(count), key=lambda index: -drops[index]), count


def _options(word: str, sources: Sequence[Candidates]) -> list[str]:
    return list(dict.fromkeys(option for source in sources for option in source.of(word) if option != word))
