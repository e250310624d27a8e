"""What a metric is, the metrics by name, and how a task's quality is made of them."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from typing_extensions import override

from bench.base.errors import BenchError, DataError, UnavailableError
from bench.base.registry import Registry
from bench.columns import COLUMNS, Column
from bench.tasks.metrics.context import PLAIN, Context
from bench.tasks.predictions import Predictions

if TYPE_CHECKING:
    import evaluate
    import numpy as np

    from bench.base.statistics import Score

    Array = np.ndarray[Any, Any]


class Answered(NamedTuple):
    """One split of a task as it is scored: what a model said, what is true, and what the score depends on besides."""

    said: Predictions
    truth: Sequence[Any]
    context: Context = PLAIN


class Metric(ABC):
    """One official metric; instances hold no state.

    `name` is its own, `column` where a record has it: two metrics may share a column if they work on different forms of
    predictions, as F1 over classes and F1 over words do. `takes` is the form it works on. A task names columns.
    """

    name: ClassVar[str]
    column: ClassVar[Column]
    takes: ClassVar[type[Predictions]]
    has_threshold: ClassVar[bool] = False  # whether `threshold` must be chosen before anything is scored
    of_groups: ClassVar[bool] = False  # whether it scores groups of examples, so that scores per group mean nothing
    of_positive: ClassVar[bool] = False  # whether it is of the second of two labels, and so depends on their order

    @property
    def dtype(self) -> str:
        """The type of what is compared, as the `datasets` package names it; by default that of the form it works on."""
        return self.takes.dtype

    def compared(self, said: Predictions, truth: Sequence[Any], context: Context) -> tuple[list[Any], list[Any]]:
        """What the metric compares, per example: what was said, and what is true; by default as the form says.

        Raises `DataError` if `context` lacks what the metric needs.
        """
        del context
        return said.compared(truth)

    def threshold(self, said: Predictions, truth: Sequence[Any], context: Context) -> float:
        """The threshold for a model that said this of the examples on which it is chosen; see `Task.threshold`.

        Raises `DataError` if it cannot be chosen on them. By default there is no such thing.
        """
        raise UnavailableError(f"metric '{self.column.name}' has no threshold")

    def details(self, said: Predictions, truth: Sequence[Any], context: Context) -> dict[str, Any]:
        """What a record keeps of a score besides its value, as JSON values; by default nothing."""
        del said, truth, context
        return {}

    @abstractmethod
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        """The official score of all examples, as a share (1.0, not 100) if it is one.

        Args:
            predictions: per example what was said, the first part of `compared`.
            references: per example what is true, the second part of it.

        Raises:
            DataError: the metric is undefined on these values.
        """

    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        """The score as a function of the indices of chosen examples, repeats allowed; nan if it is undefined on them.

        It is called a thousand times for an interval, so what does not depend on the choice is computed once. On all
        examples it equals `compute`. By default raises `UnavailableError`: then there is no interval.
        """
        raise UnavailableError(f"metric '{self.column.name}' has no vectorized form for resampling")

    def right(self, predictions: Sequence[Any], references: Sequence[Any]) -> Array | None:
        """Which examples are right, bool [examples], if the metric is the share of these; None otherwise.

        The drop of such a metric is tested by the examples that only one model has right (McNemar).
        """
        del predictions, references
        return None

    def each(self, predictions: Sequence[Any], references: Sequence[Any]) -> Array | None:
        """The value of each example, float [examples], if the score is their mean; None otherwise."""
        right = self.right(predictions, references)
        return None if right is None else right.astype(float)

    def as_quality(self, value: float) -> float:
        """A value as it counts towards quality, for which more is better; by default itself."""
        return value

    def check(self, predictions: Predictions) -> None:
        """Raise `DataError` if the metric is not defined for predictions of this shape; by default it always is."""
        del predictions

    def official(self, **options: Any) -> evaluate.Metric:
        """The metric as one of the `evaluate` package, which checks the types of what is compared."""
        import datasets
        import evaluate

        metric, value = self, datasets.Value(self.dtype)
        said = datasets.Sequence(value) if self.takes.listed else value
        accepted = datasets.Sequence(value) if self.takes.nested or self.takes.listed else value
        info = evaluate.MetricInfo(
            description=self.column.says,
            citation=self.column.source,
            inputs_description="",
            features=datasets.Features({"predictions": said, "references": accepted}),
        )

        class Official(evaluate.Metric):  # type: ignore[misc]
            def _info(self) -> evaluate.MetricInfo:
                return info

            def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
                return {metric.name: metric.compute(predictions, references)}

        return Official(**options)


class Metrics(Registry[Metric]):
    """The metrics by name; with a metric of another package its column is registered, if it is a new one."""

    @override
    def file(self, name: str, plugin: Metric, *, origin: str) -> None:
        if plugin.column.in_quality is None:
            raise BenchError(f"metric '{name}': its column needs `in_quality`, the scale on which it counts there")
        built_in = origin in self._modules  # whose columns `bench.columns` lists
        if not built_in and COLUMNS.get(plugin.column.name) != plugin.column:
            COLUMNS.register(plugin.column, origin=origin)
        super().file(name, plugin, origin=origin)


METRICS = Metrics(
    "metric",
    modules=(
        "bench.tasks.metrics.classes",
        "bench.tasks.metrics.ranked",
        "bench.tasks.metrics.scope",
        "bench.tasks.metrics.parity",
        "bench.tasks.metrics.correlations",
        "bench.tasks.metrics.answers",
        "bench.tasks.metrics.decisions",
        "bench.tasks.metrics.perplexity",
        "bench.tasks.metrics.rankings",
    ),
    group="bench.metrics",
)


def metrics_of(form: type[Predictions]) -> dict[str, Metric]:
    """The metrics that work on a form of predictions, by column."""
    return {metric.column.name: metric for _, metric in METRICS.items() if issubclass(form, metric.takes)}


def metric_columns() -> tuple[str, ...]:
    """The columns of all metrics, each once, in the order of `COLUMNS`."""
    return tuple(name for name, column in COLUMNS.items() if column.in_quality is not None)


def score_metrics(names: Sequence[str], predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
    """Each named metric of `predictions` against `references`, by name; see `Metric.compute`.

    Args:
        names: names of `METRICS`.
        predictions: one class index, score, answer, text or sum of nats per example.
        references: one class index, score, list of accepted strings or number of tokens per example.

    Raises:
        DataError: nothing to score, a different number of predictions and references, or a metric that is undefined
            on these values. UnknownNameError: no such metric.
    """
    return _official(dict.fromkeys(names, (predictions, references)))


def score_part(part: Answered, metrics: Sequence[Metric]) -> dict[str, float]:
    """The metrics of one split, by column; raises `DataError` if one is undefined on it or lacks what it needs."""
    scores = _official({metric.name: metric.compared(*part) for metric in metrics})
    return {metric.column.name: scores[metric.name] for metric in metrics}


def _official(compared: Mapping[str, tuple[Sequence[Any], Sequence[Any]]]) -> dict[str, float]:
    """The official score of every named metric, each of what it compares."""
    scores: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-metrics-") as scratch:  # evaluate makes a folder even in memory
        for name, (predictions, references) in compared.items():
            _check_lengths(predictions, references)
            official = METRICS.get(name).official(keep_in_memory=True, cache_dir=scratch, seed=0)
            scores[name] = float(official.compute(predictions=predictions, references=references)[name])
    return scores


def _check_lengths(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    if len(predictions) != len(references):
        raise DataError(
            f"scoring: {len(predictions)} predictions for {len(references)} references; expected one "
            f"prediction per reference"
        )
    if not len(references):
        raise DataError("scoring: there are no examples, so the score is undefined")


def scorer(column: str, said: Predictions, truth: Sequence[Any], context: Context = PLAIN) -> Score:
    """One metric, named by its column, as a function of the examples; equal to the official one on all of them.

    A threshold stays as it was chosen, whatever the examples.

    Raises `UnavailableError` if no metric of these predictions has such a form.
    """
    metric = _metric(column, said)
    return metric.on_chosen(*metric.compared(said, truth, context))


def quality_scorer(parts: Sequence[Answered], columns: Sequence[str]) -> Score:
    """The quality of a task as a function of the examples it is computed on.

    Quality as the record has it: the mean of the metrics in each split, each as it counts towards quality, then the
    mean over the splits.

    Args:
        parts: per split, the predictions, the truth (`TaskKind.truth`) and the context. The scorer's indices count
            through the examples of all of them, one split after the other.
        columns: of the task's metrics.
    """

    def combined(said: Predictions, truth: Sequence[Any], context: Context = PLAIN) -> Score:
        own = [(_metric(column, said), scorer(column, said, truth, context)) for column in columns]
        return lambda inside: sum(metric.as_quality(score(inside)) for metric, score in own) / len(own)

    return _over_splits(parts, [combined(*part) for part in parts])


def metric_scorer(parts: Sequence[Answered], column: str) -> Score:
    """One metric's mean over the splits, as the record has it, as a function of the examples; see `quality_scorer`."""
    return _over_splits(parts, [scorer(column, *part) for part in parts])


def _metric(column: str, said: Predictions) -> Metric:
    found = metrics_of(type(said)).get(column)
    if found is None:
        raise UnavailableError(f"there is no metric '{column}' of {said.called}")
    return found


def _over_splits(parts: Sequence[Answered], scorers: Sequence[Score]) -> Score:
    """The mean of one score per split; nan if none of the examples is of a split."""
    import numpy as np

    ends = np.cumsum([len(part[1]) for part in parts])

    def score(indices: Array) -> float:
        found = []
        for number, own in enumerate(scorers):
            start = ends[number - 1] if number else 0
            inside = indices[(indices >= start) & (indices < ends[number])] - start
            found.append(own(inside) if len(inside) else np.nan)
        return float(sum(found) / len(found))

    return score
