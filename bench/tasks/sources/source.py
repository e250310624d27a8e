"""What a data source is, and the sources by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from bench.base.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from bench.spec.suite import Task
    from bench.tasks.examples import TaskData


class DataSource(ABC):
    """Where the examples of a task come from; instances hold no state."""

    name: ClassVar[str]
    names_labels: ClassVar[bool] = False  # whether `labels` finds the labels of a task that states none

    @abstractmethod
    def load(self, task: Task, *, data_dir: Path | None) -> TaskData:
        """Every split that `task` names, whole and in the source's own order.

        Args:
            task: its `data.subset` says which data set of the source is meant.
            data_dir: the user's folder of data sets, or None to use the hub if the source has one.

        Raises:
            DataError: data that cannot be found, reached or read; the text says where and what to do.
        """

    def labels(self, task: Task, *, data_dir: Path | None) -> tuple[str, ...]:
        """The labels of a task that states none, in the order of the data's indices; by default there are none."""
        del task, data_dir
        return ()


def needed_splits(task: Task) -> tuple[str, ...]:
    """The splits that `task` uses, each once: training (unless another task trains its model), evaluation, shifted.

    The split on which a threshold is chosen is the last.
    """
    train = () if task.trained_on is not None else (task.train,)
    chosen_on = () if task.threshold is None else (task.threshold,)
    return tuple(dict.fromkeys((*train, *task.evaluate, *task.ood, *chosen_on)))


SOURCES: Registry[DataSource] = Registry(
    "data source",
    modules=(
        "bench.tasks.sources.generated",
        "bench.tasks.sources.table",
        "bench.tasks.sources.text",
        "bench.tasks.sources.corpus",
    ),
    group="bench.sources",
)
