"""Matching the outputs of a fine-tuned head to a task's labels by name, through the usual spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.base.errors import ModelError

# Other spellings of a label, whatever their case and separators. Numbers and yes/no stand only where a number of the
# data set has one meaning everywhere: that of entailment is 0 in GLUE's RTE and 1 in its WNLI.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "negative": ("neg", "0"),
    "positive": ("pos", "1"),
    "unacceptable": ("not acceptable", "ungrammatical", "incorrect", "0", "no", "false"),
    "acceptable": ("grammatical", "correct", "1", "yes", "true"),
    "not_equivalent": (
        *("non equivalent", "inequivalent", "not paraphrase", "no paraphrase", "non paraphrase", "different"),
        *("0", "no", "false"),
    ),
    "equivalent": ("semantically equivalent", "paraphrase", "same", "1", "yes", "true"),
    "not_duplicate": ("non duplicate", "no duplicate", "different", "0", "no", "false"),
    "duplicate": ("same", "1", "yes", "true"),
    "entailment": ("entail", "entails", "entailed"),
    "not_entailment": ("non entailment", "no entailment", "not entailed", "does not entail"),
    "neutral": (),
    "contradiction": ("contradict", "contradicts", "contradictory"),
}
FRESH = ("fresh",)  # in place of names: the head is not to be used
_NUMBERED = re.compile(r"label\W*_?\d+", re.IGNORECASE)  # what transformers calls an output that was given no name


def names_of(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names that a `config.json` gives its outputs, in their order; None if it gives none that mean something.

    Names that only `label2id` has count too; if both have some and they differ, neither can be relied on.
    """
    by_index = _ordered(settings.get("id2label"))
    by_name = _ordered({index: name for name, index in _items(settings.get("label2id"))})
    told = [names for names in (by_index, by_name) if names and not any(_NUMBERED.fullmatch(name) for name in names)]
    return told[0] if told and all(names == told[0] for names in told) else None


def order_of(names: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    """For each of `labels` the place of its spelling in `names`; None unless every name is one label and each once."""
    places = [[index for index, name in enumerate(names) if _plain(name) in _spellings(label)] for label in labels]
    order = [found[0] for found in places if len(found) == 1]
    return order if len(names) == len(labels) and sorted(order) == list(range(len(labels))) else None


def told_order(settings: Mapping[str, Any], labels: Sequence[str], *, given: Sequence[str], where: str) -> list[int]:
    """For each label of the task, the matching output of a trained head.

    Args:
        settings: the checkpoint's `config.json`.
        labels: the task's, as many as the head has outputs.
        given: the user's names of the outputs; they replace those of `config.json`.
        where: the model's name, for messages.

    Raises:
        ModelError: it cannot be told.
    """
    names = tuple(given) or names_of(settings)
    order = None if names is None else order_of(names, labels)
    if order is None:
        source = "--labels" if given else "config.json"
        found = f"{source} calls them {', '.join(names)}" if names else "config.json does not name them"
        raise ModelError(
            f"{where}: its head has {len(labels)} trained outputs, but it is unknown which output is which label of "
            f"the task ({', '.join(labels)}): {found}. Name them in the order of the outputs, for example --labels "
            f"{','.join(labels)}, or give --labels {FRESH[0]} for a new head."
        )
    return order


def _spellings(label: str) -> set[str]:
    """Every spelling of what `label` means, plain."""
    for name, others in _SPELLINGS.items():
        group = {_plain(each) for each in (name, *others)}
        if _plain(label) == _plain(name):
            return group
    return {_plain(label)}


def _plain(name: str) -> str:
    """A name without case, separators and hyphens; a signed number keeps its sign, which is all that tells it apart."""
    bare = name.strip().casefold()
    return bare if re.fullmatch(r"[+-]\d+", bare) else re.sub(r"[\W_]+", "", bare)


def _ordered(names: Any) -> tuple[str, ...] | None:
    """The values of a table from 0, 1, ... to names, in that order; None if it is not such a table."""
    found = {str(index): str(name) for index, name in _items(names)}
    wanted = [str(index) for index in range(len(found))]
    return tuple(found[index] for index in wanted) if found and set(wanted) == set(found) else None


def _items(table: Any) -> list[tuple[Any, Any]]:
    return list(table.items()) if isinstance(table, dict) else []
