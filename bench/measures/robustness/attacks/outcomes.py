"""What the attacks on a model and on its reference amount to: shares with their intervals, and a row per example."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.statistics import Interval
from bench.measures.robustness.attacks.greedy import AttackEnd
from bench.measures.robustness.attacks.source import KINDS

if TYPE_CHECKING:
    from bench.tasks.examples import Example


class Rate(NamedTuple):
    """How many of so many examples; without examples it has no value."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        """The share from 0 to 1; None if there are no examples."""
        return self.hits / self.total if self.total else None

    def interval(self) -> Interval:
        """Wilson's 95 % score interval (Wilson 1927), which stays within 0 and 1; at least one example is needed."""
        from scipy.stats import binomtest

        found = binomtest(self.hits, self.total).proportion_ci(confidence_level=0.95, method="wilson")
        return Interval(self.hits / self.total, float(found.low), float(found.high))


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """One model's attack: how many examples were sampled, and how each that it had right ended, by its number.

    `kinds` has the attack of each kind of edit by itself, `missing` the sources that were not available, with the
    reason.
    """

    sampled: int
    outcomes: dict[int, AttackEnd]
    kinds: Mapping[str, Mapping[int, AttackEnd]] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_kinds(
        cls, sampled: int, kinds: Mapping[str, Mapping[int, AttackEnd]], *, missing: Mapping[str, str]
    ) -> Attacked:
        """All kinds together: the text of the first attack that flips the example, else of the first; queries added."""
        ended: dict[int, list[AttackEnd]] = {}
        for outcomes in kinds.values():
            for number, outcome in outcomes.items():
                ended.setdefault(number, []).append(outcome)
        merged = {number: _merged(outcomes) for number, outcomes in ended.items()}
        return cls(sampled=sampled, outcomes=merged, kinds=kinds, missing=missing)

    @property
    def flipped(self) -> set[int]:
        """The numbers of the examples whose label flipped."""
        return {number for number, outcome in self.outcomes.items() if outcome.flipped}

    def means(self) -> dict[str, float | None]:
        """Mean queries of the attacked examples and mean share of words changed in the flipped ones; None for none."""
        outcomes = self.outcomes.values()
        changed = [outcome.changed / outcome.words for outcome in outcomes if outcome.flipped]
        return {
            "attack_queries": sum(outcome.queries for outcome in outcomes) / len(outcomes) if outcomes else None,
            "attack_words": math.fsum(changed) / len(changed) if changed else None,
        }


@dataclass(frozen=True, kw_only=True)
class AttackedSide:
    """One of the two models: its own attack, and whether it is right on each text that the reference's attack left."""

    own: Attacked
    withstands: dict[int, bool]

    @classmethod
    def of_reference(cls, attacked: Attacked) -> AttackedSide:
        """The reference beside itself: its own texts are those that would be replayed, so nothing need be scored."""
        return cls(own=attacked, withstands={number: not end.flipped for number, end in attacked.outcomes.items()})

    def shares(self, other: AttackedSide, reference: Attacked) -> dict[str, Rate]:
        """The columns that are shares of examples; `other` is the other model, `reference` one of the two.

        Of which examples: of all sampled ones (`attack_clean_accuracy`, `attack_accuracy`), of those that this model
        had right (`attack_success`), that both had right (`attack_success_common`), that the reference had right and
        so was attacked on, whether it flipped or not (`attack_transfer_accuracy`), and of those on which the reference
        flipped and this model was right before (`attack_transfer_success`). `attack_word_success` and
        `attack_typing_success` are of those that this model had right; without such an attack they are left out.
        """
        right, flipped = set(self.own.outcomes), self.own.flipped
        common = right & set(other.own.outcomes)
        shaken = reference.flipped & right
        kinds = {
            f"attack_{kind}_success": Rate(sum(outcome.flipped for outcome in outcomes.values()), len(right))
            for kind, outcomes in self.own.kinds.items()
        }
        return {
            **kinds,
            "attack_clean_accuracy": Rate(len(right), self.own.sampled),
            "attack_accuracy": Rate(len(right - flipped), self.own.sampled),
            "attack_success": Rate(len(flipped), len(right)),
            "attack_success_common": Rate(len(flipped & common), len(common)),
            "attack_transfer_accuracy": Rate(sum(self.withstands.values()), len(self.withstands)),
            "attack_transfer_success": Rate(sum(not self.withstands[number] for number in shaken), len(shaken)),
        }


def rows_of(
    side: str, model: AttackedSide, reference: Attacked, sample: Sequence[tuple[str, Example]]
) -> list[dict[str, Any]]:
    """One row per sampled (split, example): what happened to it, None if it was not attacked.

    `transfer_right` says whether the model is right on the text that the reference's attack left, None if the
    reference was not attacked; `transferred` whether that text flips this model, None if it did not flip the
    reference or this model was wrong before. `text` is the text where the model's own attack ended, as it is: data from
    outside, to be escaped wherever it is shown. `word_text` and `typing_text` are where the attack of each kind ended,
    `word_flipped` and `typing_flipped` whether it flipped the label.
    """
    return [
        {
            "split": split,
            "uid": example.uid,
            "side": side,
            "right_before": number in model.own.outcomes,
            **_ending(model.own.outcomes.get(number)),
            **_by_kind(model.own, number),
            "transfer_right": model.withstands.get(number),
            "transferred": _transferred(number, model, reference.flipped),
        }
        for number, (split, example) in enumerate(sample)
    ]


def _ending(outcome: AttackEnd | None) -> dict[str, Any]:
    names = ("flipped", "queries", "changed", "words", "text")
    return {name: None if outcome is None else getattr(outcome, name) for name in names}


def _by_kind(attacked: Attacked, number: int) -> dict[str, Any]:
    """Whether each kind of edit flipped the example and the text where it ended; None if it was not tried."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        outcome = attacked.kinds.get(kind, {}).get(number)
        found[f"{kind}_flipped"] = None if outcome is None else outcome.flipped
        found[f"{kind}_text"] = None if outcome is None else outcome.text
    return found


def _merged(outcomes: Sequence[AttackEnd]) -> AttackEnd:
    kept = next((outcome for outcome in outcomes if outcome.flipped), outcomes[0])
    return dataclasses.replace(kept, queries=sum(outcome.queries for outcome in outcomes))


def _transferred(number: int, model: AttackedSide, flipped: Collection[int]) -> bool | None:
    return not model.withstands[number] if number in flipped and number in model.own.outcomes else None
