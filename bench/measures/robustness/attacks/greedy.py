"""The search for a change that flips a label: rounds of one replacement per word, by what earlier rounds moved."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.tasks.wording.words import Words

if TYPE_CHECKING:
    import numpy as np

    from bench.measures.robustness.attacks.candidates import Candidates

    Array = np.ndarray[Any, Any]

SEARCH = (
    "rounds of one replacement per word, in order of the largest drop so far; after a flip, unneeded changes are undone"
)
_LEAST = 2.0**-52  # probabilities are kept this far from 0 and 1, so that log-odds are finite


@dataclass(frozen=True, kw_only=True)
class Target:
    """One text to attack: `label` is both its true class and what the model says, `clean` its probability."""

    text: str
    label: int
    clean: float


@dataclass(frozen=True, kw_only=True)
class AttackEnd:
    """How an attack on one text ended: whether the label flipped, texts scored, and words changed of how many."""

    flipped: bool
    queries: int
    changed: int
    words: int
    text: str


Search = Generator[list[str], "Array", AttackEnd]


def search(
    target: Target,
    sources: Sequence[Candidates],
    *,
    budget: int,
    most: int | None = None,
    allowed: Callable[[str], bool] | None = None,
) -> Search:
    """Yield lists of texts, take their class probabilities [texts, classes], and return the outcome.

    The first round tries one candidate per word, in the text's order, so a query both ranks a word and may flip the
    label; leaving words out only to rank them would spend a small budget before the first change. Each later round
    tries one more per word, the word with the largest drop of the true class's log-odds so far first. A change stays if
    it lowers the true class's probability. After a flip the changes before it are undone one by one, the smallest drop
    first, if the label stays flipped without them.

    No step depends on `budget`, which only ends the run: a larger budget repeats the smaller one's run and continues,
    so it never flips fewer texts.

    Args:
        target: the text, its label and the probability of it.
        sources: where candidates come from, the best first.
        budget: most texts to be scored.
        most: how many words may differ in one text; a change beyond them takes the place of the one with the smallest
            drop. None is all.
        allowed: whether a changed text may be used; one that may not is not scored and is not a query. None allows all.
    """
    words = Words.of(target.text)
    state = _State(lowest=target.clean, most=most)
    queries = 0
    while queries < budget:
        index = state.next_word(words, sources)
        if index is None:
            break
        tried = state.with_change(index, state.left[index].pop(0))
        text = words.replaced(tried)
        state.tries[index] += 1
        if allowed is not None and not allowed(text):
            continue
        probabilities = yield [text]
        queries += 1
        if probabilities[0].argmax() != target.label:
            by_drop = sorted((each for each in tried if each != index), key=lambda each: state.drops[each])
            undone = yield from _undo(words, tried, target, by_drop=by_drop, budget=budget - queries)
            return _outcome(words, tried, flipped=True, queries=queries + undone)
        state.note(index, tried, float(probabilities[0][target.label]))
    return _outcome(words, state.changes, flipped=False, queries=queries)


@dataclass(kw_only=True)
class _State:
    """What a search has learned: the changes kept, and the candidates left, largest drop and tries of each word."""

    lowest: float
    most: int | None = None
    reached: int = 0  # words before it had their first try or have no candidate
    changes: dict[int, str] = field(default_factory=dict)
    left: dict[int, list[str]] = field(default_factory=dict)
    drops: dict[int, float] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)

    def next_word(self, words: Words, sources: Sequence[Candidates]) -> int | None:
        """The position of the word to try next; None if no word has a candidate left."""
        while self.reached < len(words):
            index, self.reached = self.reached, self.reached + 1
            options = _options(words.word(index), sources)
            if options:
                self.left[index], self.drops[index], self.tries[index] = options, 0.0, 0
                return index
        open_ = [index for index, options in self.left.items() if options]
        return max(open_, key=lambda index: (-self.tries[index], self.drops[index]), default=None)

    def with_change(self, index: int, option: str) -> dict[int, str]:
        """The changes with `option` at `index`, less the one with the smallest drop if they would be too many."""
        kept = {other: word for other, word in self.changes.items() if other != index}
        if self.most is not None and len(kept) >= self.most:
            least = min(kept, key=lambda other: self.drops[other])
            kept = {other: word for other, word in kept.items() if other != least}
        return {**kept, index: option}

    def note(self, index: int, tried: dict[int, str], own: float) -> None:
        """Take in the true class's probability `own` with the changes `tried`; keep them if they lower it."""
        self.drops[index] = max(self.drops[index], _log_odds(self.lowest) - _log_odds(own))
        if own < self.lowest:
            self.lowest = own
            self.changes = tried


def _undo(
    words: Words, changes: dict[int, str], target: Target, *, by_drop: Sequence[int], budget: int
) -> Generator[list[str], Array, int]:
    """Take the changes that the flip does not need out of `changes`; the number of texts scored for it."""
    tried = by_drop[:budget]
    for index in tried:
        fewer = {other: option for other, option in changes.items() if other != index}
        probabilities = yield [words.replaced(fewer)]
        if probabilities[0].argmax() != target.label:
            del changes[index]
    return len(tried)


def _outcome(words: Words, changes: dict[int, str], *, flipped: bool, queries: int) -> AttackEnd:
    text = words.replaced(changes)
    return AttackEnd(flipped=flipped, queries=queries, changed=len(changes), words=len(words), text=text)


def run(searches: Sequence[Search], score: Callable[[list[tuple[int, str]]], Array]) -> list[AttackEnd]:
    """Run searches side by side, so that one round of all of them is one batch of texts.

    Args:
        searches: searches not yet started.
        score: class probabilities [texts, classes] of (number of the search, text) pairs.

    Returns:
        The outcomes in the order of the searches.
    """
    outcomes: dict[int, AttackEnd] = {}
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
    outcomes: dict[int, AttackEnd],
) -> None:
    """Give every search its answer (None starts it); it asks again or ends."""
    for number, answer in answers.items():
        try:
            asked[number] = searches[number].send(answer)  # type: ignore[arg-type]
        except StopIteration as end:
            outcomes[number] = end.value


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(bounded / (1 - bounded))


def _options(word: str, sources: Sequence[Candidates]) -> list[str]:
    """The candidates of a word, the best of each source first, then the second best of each, and so on."""
    rounds = itertools.zip_longest(*(source.of(word) for source in sources))
    return list(dict.fromkeys(option for each in rounds for option in each if option is not None and option != word))
