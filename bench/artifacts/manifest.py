"""The manifest of an artifact: how the model was made, what that cost, and the hashes of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from bench.base.errors import ArtifactError
from bench.base.schema import Frozen
from bench.records.record import StageLog
from bench.spec.setting import Training

ARTIFACT_VERSION = 1
MANIFEST = "recipe.json"
# Artifacts made before energy had a table of its own have its keys beside the others.
_FLAT_ENERGY = {
    "energy_kwh": "kwh",
    "power_source": "power_source",
    "energy_samples": "samples",
    "energy_absent": "absent",
}


class EnergySpent(Frozen):
    """Energy of making a model, gross; if it could not be metered, `absent` says why."""

    kwh: float | None = None
    power_source: str | None = Field(None, description="sources of the power readings, joined by ' + '")
    samples: int | None = Field(
        None, description="number of power samples of the last stages that were metered together"
    )
    absent: str | None = None

    def after(self, earlier: EnergySpent) -> EnergySpent:
        """The energy of these stages and of `earlier` ones; absent if that of either is."""
        for part in (earlier, self):
            if part.kwh is None:
                return EnergySpent(absent=part.absent)
        sources = [part.power_source for part in (earlier, self) if part.power_source]
        named = dict.fromkeys(source for several in sources for source in several.split(" + "))
        total = (self.kwh or 0.0) + (earlier.kwh or 0.0)
        return EnergySpent(kwh=total, power_source=" + ".join(named) or None, samples=self.samples)


class TrainingSpent(Training):
    """How a reference was trained and what that cost."""

    seconds: float
    cpu_s: float | None = Field(
        None, description="processor seconds; None if made by a version that did not count them"
    )
    steps: int
    final_loss: float

    @property
    def epoch_cpu_s(self) -> float | None:
        """Processor seconds of one epoch; None if they were not counted."""
        return None if self.cpu_s is None else self.cpu_s / self.epochs


class Manifest(Frozen):
    """`recipe.json`: what its maker says of a model, and what `save` adds.

    A reference has `training`, a compressed model `stages`. `save` sets `artifact_version` and `files`.
    """

    title: str = ""
    training: TrainingSpent | None = None
    stages: tuple[StageLog, ...] = ()
    compress_s: float | None = Field(None, description="seconds of all stages")
    compress_cpu_s: float | None = Field(None, description="processor seconds of all stages; None if one lacks them")
    energy: EnergySpent = Field(EnergySpent(), description="training of the reference, or all stages")
    artifact_version: int = ARTIFACT_VERSION
    files: dict[str, str] = Field({}, description="SHA-256 of every other file, by file name")

    @model_validator(mode="before")
    @classmethod
    def _energy_in_a_table(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not _FLAT_ENERGY.keys() & data.keys():
            return data
        energy = {name: data[key] for key, name in _FLAT_ENERGY.items() if key in data}
        return {**{key: value for key, value in data.items() if key not in _FLAT_ENERGY}, "energy": energy}


# What compressing nothing costs: where a chain of stages begins, and what the reference's own row shows.
NOTHING_MADE = Manifest(compress_s=0.0, compress_cpu_s=0.0, energy=EnergySpent(kwh=0.0))


def read_manifest(directory: Path) -> Manifest:
    """What `recipe.json` says; raises `ArtifactError` if it is missing, of another version or malformed."""
    path = directory / MANIFEST
    if not path.is_file():
        raise ArtifactError(f"{directory}: not an artifact: it has no {MANIFEST}")
    data = read_json(path)
    version = data.get("artifact_version")
    if version != ARTIFACT_VERSION:
        raise ArtifactError(
            f"{path}: artifact version {version}, expected {ARTIFACT_VERSION}. Use the version of bench that made it."
        )
    if not isinstance(data.get("files"), dict):
        raise ArtifactError(f"{path}: no hashes of the files; make the artifact again")
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise ArtifactError(f"{path}: not a valid manifest: {error}") from error


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `recipe.json` into `directory`."""
    write_json(directory / MANIFEST, manifest.model_dump(mode="json"))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; raises `ArtifactError` if there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ArtifactError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data` with sorted keys, so that equal data are equal bytes."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
