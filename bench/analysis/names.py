"""Models that share a name but not their content, told apart by the content that their records hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from bench.records.record import Failure, Record

DIGITS = 8  # of the fingerprint, behind the name

Item = TypeVar("Item", Record, Failure)


class Apart(NamedTuple):
    """Records and failures whose models have unique names, and a sentence for each name that was shared."""

    records: list[Record]
    failures: list[Failure]
    notes: tuple[str, ...]


def told_apart(records: Sequence[Record], failures: Sequence[Failure] = ()) -> Apart:
    """The same records; models of one name with different content are called `NAME@FINGERPRINT`, eight digits of it.

    Two folders may both be called `checkpoint-500`. A record or failure that does not say what its model held keeps
    the plain name.
    """
    shared = shared_names([*records, *failures])
    notes = tuple(
        f"{len(contents)} different models are called {name}: {', '.join(contents)}. Give each its own name with "
        "`bench run --name`."
        for name, contents in shared.items()
    )
    return Apart([renamed(item, shared) for item in records], [renamed(item, shared) for item in failures], notes)


def shared_names(items: Iterable[Record | Failure]) -> dict[str, tuple[str, ...]]:
    """The names that models of different content share, each with the names by which they are told apart."""
    contents: dict[str, set[str]] = defaultdict(set)
    for item in items:
        content = content_of(item)
        if content is not None:
            contents[item.model].add(content)
    return {
        name: tuple(f"{name}@{content[:DIGITS]}" for content in sorted(found))
        for name, found in contents.items()
        if len(found) > 1
    }


def renamed(item: Item, shared: Iterable[str]) -> Item:
    """`item`, its model told apart by its content if the name is among the `shared`."""
    content = content_of(item)
    if item.model not in shared or content is None:
        return item
    return item.model_copy(update={"model": f"{item.model}@{content[:DIGITS]}"})


def content_of(item: Record | Failure) -> str | None:
    """The fingerprint of the model's files; None if the record or failure does not hold it."""
    if isinstance(item, Failure):
        return item.model_fingerprint
    found = item.provenance.get("model", {}).get("fingerprint")
    return None if found is None else str(found)


def is_called(model: str, wanted: str) -> bool:
    """Whether `wanted` is the model's name, or the name that it shares with others."""
    return model == wanted or model.startswith(f"{wanted}@")
