"""Adversarial robustness: each model under attack itself, and the artifact on the texts that flip its reference."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.robustness.attacks.bound import LEAST_COSINE, MOST_WORDS, Bound, most_words
from bench.measures.robustness.attacks.greedy import SEARCH, AttackEnd, Target, run, search
from bench.measures.robustness.attacks.outcomes import Attacked, AttackedSide, Rate, rows_of
from bench.measures.robustness.attacks.source import ATTACK_SOURCES, KINDS, Ground, known_words, opened
from bench.tasks.predictions import ClassLogits
from bench.tasks.wording.dictionary import SourceMissingError, find_dictionary

if TYPE_CHECKING:
    import numpy as np

    from bench.artifacts.artifact import Loaded
    from bench.tasks.examples import Example

    Array = np.ndarray[Any, Any]
    Sample = Sequence[tuple[str, Example]]

WIDEST = 0.2  # our decision: recipes seldom differ by more, so a wider interval tells none of them apart

VERSION = 2  # of the attack; 1 mixed typing errors with neighbours that could mean the opposite

_ABSENT = {
    "attack_success": "no sampled example was right before the attack",
    "attack_word_success": "no sampled example was right before the attack",
    "attack_typing_success": "no sampled example was right before the attack",
    "attack_success_common": "no sampled example was right with both models",
    "attack_transfer_accuracy": "the reference had no sampled example right before the attack, so it was not attacked",
    "attack_transfer_success": "no example that the artifact had right was flipped for the reference",
    "attack_queries": "no sampled example was right before the attack",
    "attack_words": "no example was flipped",
}


class Attack(Measure):
    """Greedy word replacement after TextFooler (Jin et al. 2020, arXiv:1907.11932; used by Xu 2021) offline.

    Each round tries one candidate per word, the word that lowered the true class most so far first, until the label
    flips or the budget is spent; TextFooler ranks words by leaving each out, which costs a query per word. Of a text
    pair the second text is attacked. Every text scored is one query. Examples that the model got wrong count as wrong
    under attack and cost no query.

    There are two attacks, each with the whole budget: one inserts other words (synonyms, and embedding neighbours that
    are not opposites), the other typing errors. An example is flipped if either flips it. Only texts within `Bound`
    count.

    A new attack is not a transfer: for the `attack_transfer_*` columns the artifact is tested on the texts that the
    attack on the reference found, which needs no query. The reference's values are for its own texts, so that its
    transfer accuracy is 1 - its attack success, and its transfer success 1.
    """

    name = "attack"
    columns = (
        "attack_clean_accuracy",
        "attack_accuracy",
        "attack_success",
        "attack_word_success",
        "attack_typing_success",
        "attack_success_common",
        "attack_transfer_accuracy",
        "attack_transfer_success",
        "attack_queries",
        "attack_words",
    )
    says = "accuracy under word replacements found for each model, and on texts found for the reference (transfer)"
    budget_s = 20.0
    optional = True

    def read(self, pair: Pair) -> Reading:
        """Attack both models on one sample; absent for tasks that do not classify, and if labels are hidden."""
        reading = Reading()
        if not pair.kind.classifies:
            reading.leave(
                f"an attack changes the predicted label, and a {pair.task.kind} task has no labels", *self.columns
            )
            return reading
        sample = _sample(pair)
        examples = [example for _, example in sample]
        if any(pair.kind.truth(example) is None for example in examples):
            reading.leave("the labels are hidden", *self.columns)
            return reading
        if not hasattr(pair.artifact.model, "get_input_embeddings"):
            reading.leave(
                "an attack takes replacements from the attacked model's own embeddings, which a graph does not show",
                *self.columns,
            )
            return reading
        reference = _attacked(pair, pair.reference, examples)
        beside = AttackedSide.of_reference(reference)
        mine = beside if pair.is_reference else _artifact_side(pair, reference, examples)
        shares, shares_beside = mine.shares(beside, reference), beside.shares(mine, reference)
        values: dict[str, float | None] = {**_values(shares), **mine.own.means()}
        values_beside: dict[str, float | None] = {**_values(shares_beside), **reference.means()}
        for name, value in values.items():
            if value is None:
                reading.leave(_ABSENT[name], name)
            else:
                reading.give(name, value, reference=values_beside[name])
        _leave_kinds(reading, reference)
        _warn_of_few(reading, shares["attack_accuracy"])
        rows = [*rows_of("artifact", mine, reference, sample), *rows_of("reference", beside, reference, sample)]
        reading.tables = {"attack": {name: [row[name] for row in rows] for name in rows[0]}}
        reading.conditions = {
            **_conditions(pair, reference),
            "examples": len(examples),
            "common": shares["attack_success_common"].total,
            "transferable": shares["attack_transfer_success"].total,
            "interval": "Wilson, 95 %",
            "intervals": {"artifact": _intervals(shares), "reference": _intervals(shares_beside)},
        }
        return reading


def _sample(pair: Pair) -> Sample:
    """The (split, example) pairs to attack, drawn with the pair's seed from all evaluation splits, in their order."""
    pool = [(split, example) for split in pair.task.evaluate for example in pair.evaluator.examples(split)]
    count = min(pair.setting.measuring.attack_examples, len(pool))
    return [pool[number] for number in sorted(random.Random(pair.seed).sample(range(len(pool)), count))]


def _attacked(pair: Pair, loaded: Loaded, examples: Sequence[Example]) -> Attacked:
    """One model's attack, from the evaluator's memory if the same model was attacked before in the same way."""
    measuring = pair.setting.measuring
    told: tuple[str | int, ...] = (
        VERSION,
        *ATTACK_SOURCES.names(),
        measuring.attack_examples,
        measuring.attack_queries,
    )
    key = (loaded.content_hash, "attack", pair.seed, *told)
    return pair.evaluator.remember(key, lambda: _attack(pair, loaded, examples), form=Attacked)


def _attack(pair: Pair, loaded: Loaded, examples: Sequence[Example]) -> Attacked:
    """Attack one model on every example that it has right."""
    clean = _probabilities(pair, loaded, examples)
    right = [number for number, example in enumerate(examples) if clean[number].argmax() == pair.kind.truth(example)]
    known = known_words(pair.reference.tokenizer)
    ground = Ground(
        model=loaded.model, tokenizer=loaded.tokenizer, device=pair.device, seed=pair.seed, known_words=known
    )
    by_kind, missing = opened(ground)
    bound = Bound(pair.reference.model, pair.reference.tokenizer, device=pair.device)
    tried = [(kind, number) for kind in KINDS if kind in by_kind for number in right]
    searches = []
    for kind, number in tried:
        label, text = int(clean[number].argmax()), pair.kind.attacked_text(examples[number])
        target = Target(text=text, label=label, clean=float(clean[number][label]))
        budget, most = pair.setting.measuring.attack_queries, most_words(text)
        allowed = functools.partial(bound.allows, text)
        searches.append(search(target, by_kind[kind], budget=budget, most=most, allowed=allowed))

    def score(rows: list[tuple[int, str]]) -> Array:
        return _probabilities(
            pair, loaded, [pair.kind.with_text(examples[tried[search][1]], text) for search, text in rows]
        )

    kinds: dict[str, dict[int, AttackEnd]] = {kind: {} for kind in KINDS if kind in by_kind}
    for (kind, number), outcome in zip(tried, run(searches, score), strict=True):
        kinds[kind][number] = outcome
    return Attacked.of_kinds(len(examples), kinds, missing=missing)


def _artifact_side(pair: Pair, reference: Attacked, examples: Sequence[Example]) -> AttackedSide:
    """The artifact under its own attack and on the texts that the reference's attack left."""
    own, replayed = _attacked(pair, pair.artifact, examples), reference.outcomes
    if not replayed:
        return AttackedSide(own=own, withstands={})
    changed = [pair.kind.with_text(examples[number], outcome.text) for number, outcome in replayed.items()]
    said = _probabilities(pair, pair.artifact, changed).argmax(axis=1)
    withstands = {
        number: bool(label == pair.kind.truth(examples[number])) for number, label in zip(replayed, said, strict=True)
    }
    return AttackedSide(own=own, withstands=withstands)


def _leave_kinds(reading: Reading, attacked: Attacked) -> None:
    """Say which attacks and sources could not be had, and that the other rates are then not those with them."""
    for kind in KINDS:
        if kind not in attacked.kinds:
            reasons = dict.fromkeys(attacked.missing.values())
            reading.leave(
                "; ".join(reasons) or f"no attack source for {kind} edits is registered", f"attack_{kind}_success"
            )
    if attacked.missing:
        names = ", ".join(attacked.missing)
        why = "; ".join(dict.fromkeys(attacked.missing.values()))
        reading.warn(
            "attack-lacks-sources",
            f"the attack ran without {names} and flips fewer labels than with them. Compare it only with attacks that "
            f"ran without them too. Cause: {why}.",
        )


def _warn_of_few(reading: Reading, accuracy: Rate) -> None:
    """Flag an accuracy under attack from so few examples that it tells little."""
    interval = accuracy.interval()
    if interval.high - interval.low > WIDEST:
        reading.warn(
            "few-attacked",
            f"attack_accuracy was measured on {accuracy.total} sampled examples: its 95 % interval is "
            f"{interval.low:.2f} to "
            f"{interval.high:.2f}, too wide to compare models. Raise measuring.attack_examples (100 are always "
            f"enough).",
        )


def _values(shares: dict[str, Rate]) -> dict[str, float | None]:
    return {name: share.value for name, share in shares.items()}


def _intervals(shares: dict[str, Rate]) -> dict[str, list[float]]:
    """The low and high end of every share that has examples."""
    return {name: list(share.interval()[1:]) for name, share in shares.items() if share.total}


def _conditions(pair: Pair, attacked: Attacked) -> dict[str, Any]:
    return {
        "version": VERSION,
        "query_budget": pair.setting.measuring.attack_queries,
        "search": SEARCH,
        "sources": {name: source.kind for name, source in ATTACK_SOURCES.items() if name not in attacked.missing},
        "sources_missing": dict(attacked.missing),
        "dictionary": _dictionary(),
        "bound": {
            "model": "mean of the reference's input embeddings over the tokens of the text",
            "least_cosine": LEAST_COSINE,
            "most_words_changed": MOST_WORDS,
        },
        "seed": pair.seed,
    }


def _dictionary() -> str | None:
    """The dictionary that sources and known words come from; None if this machine has none."""
    try:
        return f"WordNet {find_dictionary().version}"
    except SourceMissingError:
        return None


def _probabilities(pair: Pair, loaded: Loaded, examples: Sequence[Example]) -> Array:
    """Class probabilities [examples, classes] of one model, float64."""
    from scipy.special import softmax

    from bench.tasks.evaluate import predict

    found = predict(
        loaded.model,
        loaded.tokenizer,
        examples,
        task=pair.task,
        max_length=pair.max_length,
        token_budget=pair.setting.evaluation_tokens,
        device=pair.device,
    )
    if not isinstance(found, ClassLogits):
        raise DataError(f"{pair.task.name}: an attack needs class logits, and the predictions are {found.called}")
    probabilities: Array = softmax(found.logits, axis=1)
    return probabilities


MEASURES.register("attack")(Attack())
