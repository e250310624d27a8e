"""The manifest of an artifact, as it is written and as it was written before."""

import json

import pytest

from bench.artifacts.manifest import EnergySpent, Manifest, TrainingSpent, read_manifest, write_manifest
from bench.base.errors import ArtifactError
from bench.records.record import StageLog

STAGE = {"method": "svd", "arguments": {"rank": 4}, "seconds": 1.5, "cached": False}


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    made = Manifest(
        title="svd of x",
        training=TrainingSpent(seconds=2.0, cpu_s=3.0, steps=7, final_loss=0.5, epochs=2.0),
        stages=(StageLog(**STAGE, unaudited=None),),
        compress_s=1.5,
        energy=EnergySpent(kwh=0.25, power_source="rapl", samples=12),
    )
    write_manifest(tmp_path, made)
    assert read_manifest(tmp_path) == made
    assert made.training.epoch_cpu_s == 1.5


@pytest.mark.parametrize(
    ("flat", "energy"),
    [
        ({"energy_kwh": 0.25, "power_source": "rapl", "energy_samples": 12}, {"kwh": 0.25, "power_source": "rapl"}),
        ({"energy_absent": "3 samples"}, {"kwh": None, "absent": "3 samples"}),
    ],
)
def test_a_manifest_from_before_energy_had_a_table_is_read(tmp_path, flat, energy):
    old = {
        "title": "svd of x",
        "stages": [STAGE],
        "compress_s": 1.5,
        **flat,
        "artifact_version": 1,
        "files": {"a": "b"},
    }
    (tmp_path / "recipe.json").write_text(json.dumps(old))
    found = read_manifest(tmp_path)
    assert energy.items() <= found.energy.model_dump().items()
    assert found.stages == (StageLog(**STAGE),)
    assert found.compress_cpu_s is None


def test_a_manifest_with_a_key_that_nobody_knows_is_refused_by_its_file(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"artifact_version": 1, "files": {}, "titel": "x"}))
    with pytest.raises(ArtifactError, match=r"recipe.json: not a valid manifest[\s\S]*titel"):
        read_manifest(tmp_path)
