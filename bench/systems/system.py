"""A system that a user brings: how it is named, checked against a task, and filed in the store."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.artifacts.artifact import content_hash
from bench.artifacts.store import Store
from bench.plan.fit import Fit
from bench.plan.given import GivenSystem

if TYPE_CHECKING:
    from bench.spec.suite import Suite, Task
    from bench.tasks.examples import TaskData

_NOTHING_FOUND = Fit(conditions={})


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user says of a system beside its name; each part is None or empty if it is left to the system.

    `labels` name its outputs in their order, `tokenizer` is the folder of its tokenizer, `pooling` how its token
    vectors become one vector ("mean" or "cls").
    """

    labels: tuple[str, ...] = ()
    tokenizer: Path | None = None
    pooling: str | None = None


class TaskOf(NamedTuple):
    """The task that a system is filed for: the one its head is trained on, its suite, and its data."""

    task: Task
    suite: Suite
    data: TaskData


class FiledSystem(NamedTuple):
    """A system in the store: the key of its artifact, and what was found of it and the texts."""

    key: str
    fit: Fit = _NOTHING_FOUND


class System(ABC):
    """One system, opened but not loaded."""

    @abstractmethod
    def stated(self) -> GivenSystem:
        """What the record says of it."""

    @abstractmethod
    def file(self, on: TaskOf, store: Store) -> FiledSystem:
        """Check that it fits a task, and file it as data.

        Raises `ModelError` if its weights, outputs, labels, tokenizer or positions do not fit the task.
        """


def file_as_artifact(store: Store, write: Callable[[Path], object]) -> str:
    """File what `write` writes to a new folder under its content hash; returns the key. Equal content is kept once."""
    store.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".given-") as scratch:
        draft = Path(scratch) / "draft"
        write(draft)
        key = content_hash(draft)[:16]
        place = store.path("artifacts", key)
        if not store.has("artifacts", key):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(draft, place)
    return key
