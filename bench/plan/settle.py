"""A suite whose tasks have their labels, for tasks that leave them to the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.spec.suite import Suite, Task
from bench.tasks.data import settled


def with_labels(
    suite: Suite, tasks: Sequence[Task], *, also: Iterable[Task] = (), data_dir: Path | None
) -> tuple[Suite, list[Task]]:
    """The suite and these tasks of it with labels filled in from the data if the suite states none.

    Args:
        suite: its tasks that are not used stay as they are, since their data may not be there.
        tasks: those that are evaluated; the ones that their models are trained on are settled too.
        also: further tasks of it that are used.
        data_dir: the user's folder of data sets.

    Raises `DataError` or `SuiteError` as `settled` does.
    """
    used = [*tasks, *also]
    trained = [suite.task(task.trained_on) for task in used if task.trained_on is not None]
    done: dict[str, Task] = {}
    for task in (*trained, *used):
        if task.name not in done:
            before = None if task.trained_on is None else done[task.trained_on]
            done[task.name] = settled(task, data_dir=data_dir, trained=before)
    every = tuple(done.get(task.name, task) for task in suite.tasks)
    if every == suite.tasks:
        return suite, list(tasks)
    return suite.model_copy(update={"tasks": every}), [done[task.name] for task in tasks]
