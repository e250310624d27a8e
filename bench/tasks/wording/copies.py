"""Copies of examples with edited texts: without labels, and the same ones again for the same seed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.tasks.examples import Example
from bench.tasks.wording.words import Words

Edit = Callable[[str, random.Random], str]  # a text to another one, by what is drawn


class Copies(NamedTuple):
    """New examples, and how many copies were dropped since the example or an earlier copy of it is the same."""

    examples: list[Example]
    repeated: int


def edited(
    examples: Sequence[Example],
    edit: Edit,
    *,
    copies: int,
    seed: int,
    progress: Callable[[str, float], None] = lambda says, share: None,
) -> Copies:
    """At most `copies` edited versions of every example, those of one example together; none has a label.

    Of a pair the copies edit in turn the first text, the second, and both (Tang et al. 2019, arXiv:1903.12136, §3.3).
    Every copy is drawn by itself from the seed, the example and its number, so fewer copies are the first of more.

    Args:
        examples: of single texts or of pairs.
        edit: what changes a text.
        copies: drawn per example.
        seed: of what is drawn.
        progress: told now and then how many examples are done, with their share.
    """
    found: list[Example] = []
    for done, example in enumerate(examples):
        if done % 256 == 0:
            progress(f"augmenting: {done} of {len(examples)} examples", done / len(examples))
        found += _each_once(example, edit, copies=copies, seed=seed)
    return Copies(found, copies * len(examples) - len(found))


def texts_of(examples: Sequence[Example]) -> list[str]:
    """Every text that `edited` may change, each once."""
    return list(dict.fromkeys(text for example in examples for text in (example.text, example.pair) if text))


def _each_once(example: Example, edit: Edit, *, copies: int, seed: int) -> Iterator[Example]:
    seen = {(example.text, example.pair)}
    for number in range(copies):
        draws = random.Random(f"{seed}:{example.uid}:{number}")
        text, pair = example.text, example.pair
        if pair is None or number % 3 != 1:
            text = edit(text, draws)
        if pair is not None and number % 3 != 0:
            pair = edit(pair, draws)
        if (text, pair) not in seen:
            seen.add((text, pair))
            uid = f"{example.uid}+{number}"
            yield dataclasses.replace(example, uid=uid, text=text, pair=pair, label=None, answers=(), target=None)


class Rewording:
    """An edit that replaces each word with a `probability` by one of what it may become.

    TinyBERT's rule (Jiao et al. 2020, arXiv:1909.10351, algorithm 1): words are replaced independently of each other,
    by any of their candidates alike. Which words are drawn does not depend on the candidates, so `wanted` can be asked
    first, and candidates be looked for only where they are needed.

    Args:
        probability: of a word, in [0, 1].
    """

    def __init__(self, probability: float) -> None:
        self._probability = probability
        self.candidates: Mapping[tuple[str, int], Sequence[str]] = {}  # of a word by its text and its place

    def wanted(self, examples: Sequence[Example], *, copies: int, seed: int) -> dict[str, list[int]]:
        """The places of the words that any of the copies is to replace, by text; see `edited`."""
        found: dict[str, set[int]] = {}

        def note(text: str, draws: random.Random) -> str:
            found.setdefault(text, set()).update(self._drawn(text, draws))
            return text

        edited(examples, note, copies=copies, seed=seed)
        return {text: sorted(places) for text, places in found.items() if places}

    def __call__(self, text: str, draws: random.Random) -> str:
        """The text with other words; one without candidates stays."""
        changes = {}
        for index, chosen in self._drawn(text, draws).items():
            others = self.candidates.get((text, index), ())
            if others:
                changes[index] = others[int(chosen * len(others))]
        return Words.of(text).replaced(changes)

    def _drawn(self, text: str, draws: random.Random) -> dict[int, float]:
        """The places of the words to be replaced, each with the number in [0, 1) that decides by what."""
        pairs = [(draws.random(), draws.random()) for _ in Words.of(text).spans]
        return {index: chosen for index, (falls, chosen) in enumerate(pairs) if falls < self._probability}
