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

    @abstractmethod
    def load(self, task: Task, *, data_dir: Path | None) -> TaskData:
        """Every split that `task` names, whole and in the source's own order.

        Args:
            task: its `data.subset` says which data set of the source is meant.
            data_dir: the user's folder of data sets, or None to use the hub if the source has one.

        Raises:
            DataError: data that cannot be found, reached or read; the text says where and what to do.
        """


def needed_splits(task: Task) -> tuple[str, ...]:
    """The splits that `task` uses, each once: training (unless another task trains its model), evaluation, shifted.

    The last one is that on which a threshold is chosen, if it is none of these.
    """
    train = () if task.trained_on is not None else (task.train,)
    threshold = () if task.threshold is None else (task.threshold,)
    return tuple(dict.fromkeys((*train, *task.evaluate, *task.ood, *threshold)))


SOURCES: Registry[DataSource] = Registry(
    "data source",
    modules=(
        "bench.tasks.sources.glue",
        "bench.tasks.sources.generated",
        "bench.tasks.sources.multi30k",
        "bench.tasks.sources.text",
    ),
    group="bench.sources",
)
