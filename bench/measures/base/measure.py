"""What a measure is, its input and its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bench.base.registry import Registry
from bench.columns import column
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.metrics.metric import Answered
from bench.tasks.prediction_tables import SplitPredictions

if TYPE_CHECKING:
    from pathlib import Path

    from bench.artifacts.artifact import Loaded
    from bench.artifacts.manifest import Manifest
    from bench.measures.base.examples import EvaluationExamples
    from bench.spec.setting import Measuring, Setting
    from bench.spec.suite import Task
    from bench.tasks.evaluate import Evaluator


@dataclass(kw_only=True)
class Reading:
    """What one measure found: for every column of the measure a value or the reason why it is absent.

    `values` are the artifact's, `reference` the reference's for the same columns if both were measured; `samples`
    are raw repeats by name; `conditions` are what the numbers depend on; `warnings` are (code, sentence) pairs.
    `tables` are per-example results: table name -> column name -> one value per row, None if a row has
    none. Every table is written to its own Parquet file next to the record (`bench.records.tables`).
    """

    values: dict[str, float | int] = field(default_factory=dict)
    reference: dict[str, float | int] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    tables: dict[str, dict[str, list[Any]]] = field(default_factory=dict)

    def give(self, name: str, value: float | int, *, reference: float | int | None = None) -> None:
        """Store the artifact's value of a column and, if it was measured, the reference's."""
        self.values[column(name).name] = value
        if reference is not None:
            self.reference[name] = reference

    def leave(self, reason: str, *names: str) -> None:
        """Mark columns as absent, all for the same reason."""
        for name in names:
            self.absent[column(name).name] = reason

    def warn(self, code: str, sentence: str) -> None:
        """Store a coded warning: what happened and what to do."""
        self.warnings.append((code, sentence))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An artifact and its reference, both loaded from disk in this process, ready to be measured.

    `evaluator` predicts each split once per model and remembers it. `artifact_dir` and `reference_dir` are the
    directories on disk. `is_reference` is True for the recipe `none`, whose artifact is the reference itself.
    `made` is the cost of compressing (none for the reference itself). `epoch_cpu_s` are the processor seconds of one
    epoch of training the reference, None if they were not counted.
    `apart` holds, by measure and by the probe's name, what the probe gave: one result for the artifact and one for the
    reference, or a single one if it saw both together; the result of a probe that failed is its reason.
    `widened_bytes` is by how much the reference is larger than the model's files held it, which had half precision.
    """

    task: Task
    setting: Setting
    artifact: Loaded
    reference: Loaded
    artifact_dir: Path
    reference_dir: Path
    evaluator: Evaluator
    device: str
    seed: int
    is_reference: bool
    made: Manifest
    epoch_cpu_s: float | None = None
    apart: dict[str, dict[str, tuple[Any, ...]]] = field(default_factory=dict)
    widened_bytes: int = 0

    @property
    def kind(self) -> TaskKind:
        """The kind of the task."""
        return KINDS.get(self.task.kind)

    @property
    def closed(self) -> str | None:
        """Why nothing but answers can be had of the artifact; None if it is a network."""
        from bench.models.texts import closed

        return closed(self.artifact.model)

    @property
    def max_length(self) -> int:
        """Tokens that an example of the task may have."""
        return self.task.max_length or self.setting.max_length

    def said(self, split: str, limit: int | None = None) -> SplitPredictions:
        """The predictions of both models on the examples of `split`, or on its first `limit`."""
        examples = self.evaluator.examples(split)[:limit]
        return SplitPredictions(
            uids=tuple(example.uid for example in examples),
            truth=tuple(self.kind.truth(example) for example in examples),
            artifact=self.evaluator.predict(self.artifact, split, limit),
            reference=self.evaluator.predict(self.reference, split, limit),
        )

    def answered(self, loaded: Loaded, split: str) -> Answered:
        """What one of the two models said on `split`, with all that its score depends on.

        Raises `DataError` if a threshold cannot be chosen, see `Evaluator.context`.
        """
        truth = [self.kind.truth(example) for example in self.evaluator.examples(split)]
        return Answered(self.evaluator.predict(loaded, split), truth, self.evaluator.context(loaded, split))


class Measure(ABC):
    """A plug-in that yields columns.

    Measures run one after the other in one process on a loaded `Pair`. One that needs a process in which no model has
    been loaded is a `ProbingMeasure`.
    """

    name: ClassVar[str]
    says: ClassVar[str]
    budget_s: ClassVar[float] = 5.0  # stated seconds per cell, for an encoder of 20 M parameters on two cores
    optional: ClassVar[bool] = False  # a suite may leave it out
    of_calls: ClassVar[bool] = False  # whether it measures calls with made inputs, and not the task's examples
    asks: ClassVar[bool] = False  # whether answers to texts are all that it needs, so that functions can be measured

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that it yields; most measures set a plain attribute of the class instead."""

    @abstractmethod
    def read(self, pair: Pair) -> Reading:
        """Measure the pair; every one of `columns` ends up in `values` or in `absent`."""

    def unavailable(self, device: str) -> dict[str, tuple[str, ...]]:
        """Columns that cannot be measured on this machine, grouped by the reason, which says what to do."""
        del device
        return {}


class ProbingMeasure(Measure):
    """A measure whose numbers come from `probe`, called in a fresh process for each of `probes`.

    Each probe sees one model, so it is called for the artifact and for the reference, unless it is `together`: then it
    is called once for both, which is how two models are compared in one process.
    """

    together: ClassVar[bool] = False
    finds: ClassVar[Any]  # the type of what a probe gives, which pydantic can write as JSON

    @abstractmethod
    def probes(self, measuring: Measuring, kind: TaskKind) -> tuple[str, ...]:
        """The names of the probes for a task of that kind; none if the measure does not apply to it."""

    @abstractmethod
    def probe(self, name: str, directories: tuple[Path, ...], *, device: str, measuring: Measuring) -> Any:
        """The result of the probe `name`, as a value of the type `finds`.

        Args:
            name: one of `probes`.
            directories: the model's artifact; those of artifact and reference, in this order, if `together`.
            device: where the models run.
            measuring: the conditions.

        Raises a `BenchError` whose text becomes the reason why the columns are absent.
        """

    def probe_on(
        self,
        name: str,
        directories: tuple[Path, ...],
        examples: EvaluationExamples,
        *,
        device: str,
        measuring: Measuring,
    ) -> Any:
        """What the engine calls: `probe`, unless what a model executes depends on the cell's evaluation examples."""
        del examples
        return self.probe(name, directories, device=device, measuring=measuring)

    def probed(self, pair: Pair) -> dict[str, tuple[Any, ...]]:
        """What each probe gave, by name: a result per model, or one for both; a failed one is its reason."""
        return pair.apart[self.name]


class ExampleProbingMeasure(ProbingMeasure):
    """A probing measure whose models of dynamic depth run evaluation examples, if there are any at hand."""

    @override
    def probe(self, name: str, directories: tuple[Path, ...], *, device: str, measuring: Measuring) -> Any:
        """The probe on made inputs, whatever a model's depth."""
        return self.probe_with(name, directories, None, device=device, measuring=measuring)

    @override
    def probe_on(
        self,
        name: str,
        directories: tuple[Path, ...],
        examples: EvaluationExamples,
        *,
        device: str,
        measuring: Measuring,
    ) -> Any:
        return self.probe_with(name, directories, examples, device=device, measuring=measuring)

    @abstractmethod
    def probe_with(
        self,
        name: str,
        directories: tuple[Path, ...],
        examples: EvaluationExamples | None,
        *,
        device: str,
        measuring: Measuring,
    ) -> Any:
        """What `probe` and `probe_on` do; without `examples` every model runs made inputs."""


MEASURES: Registry[Measure] = Registry(
    "measure",
    modules=(
        "bench.measures.timing.latency",
        "bench.measures.timing.decoding",
        "bench.measures.timing.start",
        "bench.measures.quality.quality",
        "bench.measures.agreement.agreement",
        "bench.measures.robustness.robustness",
        "bench.measures.robustness.attack",
        "bench.measures.computation.computation",
        "bench.measures.storage.parameters",
        "bench.measures.storage.size",
        "bench.measures.storage.system",
        "bench.measures.retrieval.retrieval",
        "bench.measures.memory.memory",
        "bench.measures.energy.carbon",
        "bench.measures.runtime.runtime",
    ),
    group="bench.measures",
)
