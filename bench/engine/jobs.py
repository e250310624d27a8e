"""What a child is given and what it gives back: frozen classes that are written down as JSON.

The same text runs in a forked child of this machine and in a worker of another one. Models and data are named by their
place on disk, which both sides can read.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bench.artifacts.manifest import TrainingSpent
from bench.base.stopwatch import Spans
from bench.measures.base.measure import MEASURES, ProbingMeasure, Reading
from bench.models.stored import Held
from bench.plan.cell import Cell
from bench.plan.steps import Probe
from bench.records.record import StageLog
from bench.tasks.evaluate import Remembered

W = TypeVar("W", bound="Written")


class Written(BaseModel):
    """Immutable data with a written form: `read(data.write())` equals `data`. Numbers may be infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    def write(self) -> str:
        """The data as JSON."""
        return self.model_dump_json(warnings=False)

    @classmethod
    def read(cls: type[W], text: str) -> W:
        """The data that `write` wrote; raises pydantic's `ValidationError` if the text is something else."""
        return cls.model_validate_json(text)


class TrainJob(Written):
    """Train the reference of `cell` on the task data in the file `data`, and file it in the store at `store`.

    `threads` is the child's share of the processor. `alone` is False while other children compute: energy then has no
    single cause and stays absent.
    """

    phase: Literal["reference"] = "reference"
    cell: Cell
    store: Path
    data: Path
    threads: int
    alone: bool


class CompressJob(Written):
    """Apply the recipe of `cell` to its reference, and file the artifact; fields as in `TrainJob`."""

    phase: Literal["compress"] = "compress"
    cell: Cell
    store: Path
    data: Path
    threads: int
    alone: bool


class ProbeJob(Written):
    """Call one probe of a measure on stored models of `cell`; `data` is the file of the task's data."""

    phase: Literal["probe"] = "probe"
    cell: Cell
    store: Path
    data: Path
    probe: Probe


class Made(Written):
    """A reference or an artifact was filed."""

    spans: Spans


class Probed(Written):
    """What a probe found, as JSON values of its measure's `finds`."""

    probe: Probe
    spans: Spans
    found: Any

    @classmethod
    def of(cls, probe: Probe, found: object, spans: Spans) -> Probed:
        """The written form of what the probe gave."""
        return cls(probe=probe, spans=spans, found=form(probe.measure).dump_python(found, mode="json", warnings=False))

    def result(self) -> Any:
        """What the probe gave."""
        return form(self.probe.measure).validate_python(self.found)


class Unprobed(Written):
    """Why a probe found nothing."""

    probe: Probe
    reason: str

    def result(self) -> str:
        """The reason."""
        return self.reason


class MeasureJob(Written):
    """Take every measure of the artifact and the reference of `cell` on the task data in the file `data`.

    `known` is what earlier children remembered of the reference; `probed` what the probes that the measures build on
    gave.
    """

    phase: Literal["measure"] = "measure"
    cell: Cell
    store: Path
    data: Path
    threads: int
    known: tuple[Remembered, ...] = ()
    probed: tuple[Probed | Unprobed, ...] = ()


class DataProvenance(Written):
    """Where the data of a record come from, and how many examples each split has."""

    origin: str
    revision: str | None
    generated: bool
    fingerprint: str
    notes: tuple[str, ...]
    examples: dict[str, int]


class ModelProvenance(Written):
    """Which model a record starts from; `held` is what its files hold, None for a built-in model."""

    fingerprint: str
    held: Held | None
    outputs: tuple[str, ...]


class ReferenceProvenance(Written):
    """The content of the reference, and how it was trained; None if it was given ready, or used as it is."""

    content_hash: str
    training: TrainingSpent | None
    as_is: bool = False


class ArtifactProvenance(Written):
    """The content of the artifact, and the bytes of its weights and side data; None of a function."""

    content_hash: str
    bytes: int | None


class Provenance(Written):
    """What the numbers of a record were made from."""

    data: DataProvenance
    model: ModelProvenance
    reference: ReferenceProvenance
    artifact: ArtifactProvenance
    system: dict[str, Any] | None = None

    def stored(self) -> dict[str, Any]:
        """As a record keeps it, without what there is not."""
        lacking = {name for name in ("held", "outputs") if not getattr(self.model, name)}
        data = self.model_dump(mode="json", exclude={"model": lacking})
        if self.system is None:
            del data["system"]
        training = self.reference.training
        data["reference"]["training"] = training.model_dump(mode="json", exclude_none=True) if training else {}
        if not self.reference.as_is:
            del data["reference"]["as_is"]
        return data


class Measured(Written):
    """Every measure of one cell; `known` is what to tell later children of the same reference."""

    spans: Spans
    readings: dict[str, Reading]
    stages: tuple[StageLog, ...]
    provenance: Provenance
    known: tuple[Remembered, ...]


Job = TrainJob | CompressJob | ProbeJob | MeasureJob
Result = Made | Probed | Measured
_JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="phase")])


def read_job(text: str) -> Job:
    """The job that `write` wrote."""
    return _JOB.validate_json(text)


@cache
def form(name: str) -> TypeAdapter[Any]:
    """How the findings of the measure called `name` are written; raises `TypeError` if it has no probes."""
    measure = MEASURES.get(name)
    if not isinstance(measure, ProbingMeasure):
        raise TypeError(f"measure '{name}' does not probe")
    return TypeAdapter(measure.finds)
