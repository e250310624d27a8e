"""Checkpoints of transformers, of a folder or the hub, and artifacts of bench, whose trained head is used as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from bench.artifacts.artifact import save
from bench.artifacts.manifest import Manifest, read_manifest
from bench.artifacts.store import Store
from bench.base.errors import ModelError
from bench.models.checkpoint import CheckpointSource
from bench.models.embedding import POOLING
from bench.models.stored import Held
from bench.plan.as_is import built_as_is
from bench.plan.cell import training_part
from bench.plan.fit import Fit, examine
from bench.plan.given import GivenSystem
from bench.systems.folders import link
from bench.systems.system import FiledSystem, System, TaskOf, Wishes, file_as_artifact
from bench.tasks.kinds.kind import KINDS

_POOLINGS = ("mean", "cls")


@dataclass(frozen=True, kw_only=True)
class CheckpointSystem(System):
    """A model whose files transformers or bench reads; `name` is what records call it."""

    source: CheckpointSource
    name: str
    wishes: Wishes
    form: ClassVar[str] = "checkpoint"

    @override
    def stated(self) -> GivenSystem:
        about = {"revision": self.source.revision, "outputs": list(self.wishes.labels), "pooling": self.wishes.pooling}
        return GivenSystem(
            form=self.form,
            name=self.name,
            fingerprint=self.source.fingerprint(),
            about={key: value for key, value in about.items() if value},
        )

    @override
    def file(self, on: TaskOf, store: Store) -> FiledSystem:
        """Build the model with its trained head, the outputs in the order of the task's labels, and file it."""
        source, task = self.source, on.task
        kind = KINDS.get(task.kind)
        fit = examine(source, on.suite, [(task, on.data)], called=self.name)
        settings = self._settings(kind.head, task.name)
        held = source.held(head=kind.head, labels=task.labels or None)
        model = built_as_is(source, task, held, settings=settings)
        tokenizer = source.tokenizer(lambda: ())
        examples = [each for split in training_part(on.data, task).splits.values() for each in split]
        whole = kind.completed(model, examples, tokenizer, task=task, max_length=on.suite.max_length(task))
        plain = whole is model and not settings and not (held and held.order)
        key = file_as_artifact(store, lambda folder: self._write(folder, whole, tokenizer, plain=plain))
        return FiledSystem(key, self._with_warnings(fit, held))

    def _write(self, folder: Path, model: object, tokenizer: object, *, plain: bool) -> None:
        """Write the model to a new folder; `plain` if nothing of it was changed."""
        del plain
        save(model, folder, tokenizer=tokenizer, made=Manifest(title=f"{self.name}, given"))  # type: ignore[arg-type]

    def _settings(self, head: str, task: str) -> dict[str, str]:
        pooling = self.wishes.pooling
        if pooling is None:
            return {}
        if head != "embedding":
            raise ModelError(f"--pooling {pooling}: task {task} compares no vectors of texts; leave it out")
        if pooling not in _POOLINGS:
            raise ModelError(f"--pooling {pooling}: expected one of {', '.join(_POOLINGS)}")
        return {POOLING: pooling}

    def _with_warnings(self, fit: Fit, held: Held | None) -> Fit:
        """Also that files in half precision are measured as float32."""
        if held is None or not held.widened_bytes:
            return fit
        says = (
            f"{self.name} was given in half precision and is measured in float32, as it was made: that takes "
            f"{held.widened_bytes:,} bytes more on disk than its files did, and other speed than half precision has."
        )
        return Fit(conditions=fit.conditions, warnings=(*fit.warnings, ("system-widened", says)), segments=fit.segments)


@dataclass(frozen=True, kw_only=True)
class ArtifactSystem(CheckpointSystem):
    """An artifact of bench, filed as it is, with how it was made, unless its outputs are in another order."""

    form: ClassVar[str] = "artifact"

    @override
    def _write(self, folder: Path, model: object, tokenizer: object, *, plain: bool) -> None:
        if plain:
            link(self.source.directory, folder)
            return
        made = read_manifest(self.source.directory)
        save(model, folder, tokenizer=tokenizer, made=made)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class ModelSystem(ArtifactSystem):
    """A module of torch that was given from Python, once it is written to a folder."""

    form: ClassVar[str] = "model"
