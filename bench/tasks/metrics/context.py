"""What a score depends on besides what was said and what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from bench.spec.suite import Task
    from bench.tasks.examples import Example


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the metrics of one split may need besides predictions and truth; most need nothing.

    `out_of_scope` is the index of the label of texts that belong to no other label. `groups` names the group of every
    example, and is empty if no example has one. `thresholds` holds, by column, the threshold of every metric that has
    one; it belongs to one model.
    """

    out_of_scope: int | None = None
    groups: tuple[str | None, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Task, examples: Sequence[Example]) -> Self:
        """The context of these examples, without thresholds."""
        label, groups = task.out_of_scope, tuple(example.group for example in examples)
        return cls(
            out_of_scope=task.labels.index(label) if label in task.labels else None,
            groups=groups if any(group is not None for group in groups) else (),
        )

    @classmethod
    def stored(cls, conditions: Mapping[str, Any], side: str, split: str) -> Self:
        """The context of one model of a record on `split`, from what `recorded` wrote there; groups are not stored."""
        found = conditions.get("scored_with", {})
        thresholds = found.get("thresholds", {}).get(side, {}).get(split, {})
        return cls(out_of_scope=found.get("out_of_scope"), thresholds=thresholds)

    def at(self, rows: Sequence[int]) -> Self:
        """The context of some of the examples."""
        return replace(self, groups=tuple(self.groups[row] for row in rows) if self.groups else ())


PLAIN = Context()


def recorded(contexts: Mapping[str, Mapping[str, Context]], chosen_on: str | None) -> dict[str, Any]:
    """What a record keeps of the contexts by model and split, as JSON values; nothing if there is nothing to keep.

    `chosen_on` is the split on which thresholds were chosen; None if each was chosen on the split that it scores.
    """
    found: dict[str, Any] = {}
    every = [context for of in contexts.values() for context in of.values()]
    if every[0].out_of_scope is not None:
        found["out_of_scope"] = every[0].out_of_scope
    if any(context.thresholds for context in every):
        found["chosen_on"] = chosen_on or "the split that is scored"
        found["thresholds"] = {
            side: {split: dict(context.thresholds) for split, context in of.items()} for side, of in contexts.items()
        }
    return {"scored_with": found} if found else {}
