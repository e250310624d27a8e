"""Adversarial robustness: accuracy under a word-level attack that each model faces by itself, within a query budget."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.measures.attacks.candidates import EmbeddingNeighbours, TypingErrors
from bench.measures.attacks.greedy import RANKED_WORDS, Outcome, Target, run, search
from bench.measures.measure import MEASURES, Measure, Pair, Reading

if TYPE_CHECKING:
    import numpy as np

    from bench.artifact import Loaded
    from bench.tasks.examples import Example

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """One model's attack: the numbers of the sampled examples, of those right before, and the outcome of each."""

    sampled: int
    outcomes: dict[int, Outcome]

    @property
    def flipped(self) -> list[Outcome]:
        """The attacks that succeeded."""
        return [outcome for outcome in self.outcomes.values() if outcome.flipped]

    def success_among(self, numbers: set[int]) -> float | None:
        """Flipped share of the given examples, all right before; None where there are none."""
        return sum(self.outcomes[number].flipped for number in numbers) / len(numbers) if numbers else None

    def columns(self, common: set[int]) -> dict[str, float | None]:
        """The six columns; `common` are the examples that both models had right."""
        right, flipped = len(self.outcomes), self.flipped
        return {
            "attack_clean_accuracy": right / self.sampled,
            "attack_accuracy": (right - len(flipped)) / self.sampled,
            "attack_success": self.success_among(set(self.outcomes)),
            "attack_success_common": self.success_among(common),
            "attack_queries": sum(item.queries for item in self.outcomes.values()) / right if right else None,
            "attack_words": sum(item.changed / item.words for item in flipped) / len(flipped) if flipped else None,
        }


_ABSENT = {
    "attack_success": "no sampled example was right before the attack",
    "attack_success_common": "no sampled example was right with both models",
    "attack_queries": "no sampled example was right before the attack",
    "attack_words": "no example was flipped",
}


class Attack(Measure):
    """Greedy word replacement in TextFooler's order (Jin et al. 2020, arXiv:1907.11932; used by Xu 2021) offline.

    Words are ranked by the drop of the true class's probability when they are left out, then replaced one after the
    other by the candidate that lowers it most, until the label flips or the budget is spent. Candidates are typing
    errors and the model's own embedding neighbours. Of a text pair the second text is attacked. Every text scored is
    one query. Examples that the model had wrong count as wrong under attack and cost no query.
    """

    name = "attack"
    columns = (
        "attack_clean_accuracy",
        "attack_accuracy",
        "attack_success",
        "attack_success_common",
        "attack_queries",
        "attack_words",
    )
    says = "accuracy under word replacements, each model attacked by itself on the same sampled examples"

    def read(self, pair: Pair) -> Reading:
        """Attack both models on one sample; absent for tasks other than classification and where labels are hidden."""
        reading = Reading()
        if pair.task.kind != "classification":
            reading.leave(f"an attack flips a label, and a {pair.task.kind} task has none", *self.columns)
            return reading
        examples = _sample(pair)
        if any(example.label is None for example in examples):
            reading.leave("the labels are hidden", *self.columns)
            return reading
        artifact = _attack(pair, pair.artifact, examples)
        reference = artifact if pair.is_reference else _attack(pair, pair.reference, examples)
        common = set(artifact.outcomes) & set(reference.outcomes)
        beside = reference.columns(common)
        for name, value in artifact.columns(common).items():
            if value is None:
                reading.leave(_ABSENT[name], name)
            else:
                reading.give(name, value, reference=beside[name])
        measuring = pair.setting.measuring
        reading.conditions = {
            "examples": len(examples),
            "common": len(common),
            "query_budget": measuring.attack_queries,
            "ranked_words": RANKED_WORDS,
            "candidates": ["typing errors", "own embedding neighbours"],
            "seed": pair.seed,
        }
        return reading


def _sample(pair: Pair) -> list[Example]:
    """The examples to attack, drawn with the pair's seed from all evaluation splits, in their own order."""
    pool = [example for split in pair.task.evaluate for example in pair.evaluator.examples(split)]
    count = min(pair.setting.measuring.attack_examples, len(pool))
    return [pool[number] for number in sorted(random.Random(pair.seed).sample(range(len(pool)), count))]


def _attack(pair: Pair, loaded: Loaded, examples: Sequence[Example]) -> Attacked:
    """Attack one model on every example that it has right."""
    clean = _probabilities(pair, loaded, examples)
    right = [number for number, example in enumerate(examples) if clean[number].argmax() == example.label]
    sources = (
        TypingErrors(seed=pair.seed),
        EmbeddingNeighbours(loaded.model, loaded.tokenizer, device=pair.device),
    )
    budget = pair.setting.measuring.attack_queries
    searches = []
    for number in right:
        label = int(clean[number].argmax())
        target = Target(text=_attacked_text(examples[number]), label=label, clean=float(clean[number][label]))
        searches.append(search(target, sources, budget=budget))

    def score(rows: list[tuple[int, str]]) -> Array:
        return _probabilities(pair, loaded, [_changed(examples[right[number]], text) for number, text in rows])

    return Attacked(sampled=len(examples), outcomes=dict(zip(right, run(searches, score), strict=True)))


def _attacked_text(example: Example) -> str:
    return example.text if example.pair is None else example.pair


def _changed(example: Example, text: str) -> Example:
    if example.pair is None:
        return dataclasses.replace(example, text=text)
    return dataclasses.replace(example, pair=text)


def _probabilities(pair: Pair, loaded: Loaded, examples: Sequence[Example]) -> Array:
    """Class probabilities [examples, classes] of one model, float64."""
    from scipy.special import softmax

    from bench.tasks.evaluate import predict

    found = predict(
        loaded.model,
        loaded.tokenizer,
        examples,
        task=pair.task,
        max_length=pair.task.max_length or pair.setting.max_length,
        token_budget=pair.setting.evaluation_tokens,
        device=pair.device,
    )
    probabilities: Array = softmax(found.logits, axis=1)
    return probabilities


MEASURES.register("attack")(Attack())
