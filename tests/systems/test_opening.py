"""What a system is told to be by its form, and what is refused with what to give instead."""

import sys
from pathlib import Path

import pytest
from made_checkpoints import write_checkpoint

from bench.artifacts.functions import import_function, save_function
from bench.base.errors import ArtifactError, ModelError
from bench.systems.checkpoints import CheckpointSystem
from bench.systems.functions import FunctionSystem
from bench.systems.opening import names_function, open_system
from bench.systems.system import Wishes


def opened(system, scratch, **wishes):
    return open_system(system, Wishes(**wishes), scratch)


def test_a_function_is_told_by_its_colon_and_a_file_of_that_name_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_function("package.module:callable")
    assert not names_function("org/model")
    assert not names_function("C:/models/x")
    (tmp_path / "a:b").write_text("")
    assert not names_function("a:b")


def test_each_form_opens_as_what_it_is(tmp_path):
    assert isinstance(opened("json:dumps", tmp_path), FunctionSystem)
    assert opened("json:dumps", tmp_path).stated().function == "json:dumps"
    folder = Path(write_checkpoint(tmp_path / "model"))
    assert type(opened(folder, tmp_path)) is CheckpointSystem
    assert type(opened(folder / "model.safetensors", tmp_path)) is CheckpointSystem
    assert opened(folder, tmp_path).stated().fingerprint == opened(str(folder), tmp_path).stated().fingerprint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytorch_model.bin", "it may be a pickle"),
        ("model.pt", "it may be a pickle"),
        ("model.joblib", "it may be a pickle"),
        ("model.gguf", "GGUF are quantized for another runtime"),
        ("model.tflite", "no runtime for this format"),
        ("notes.txt", "not a form that can be scored"),
    ],
)
def test_other_files_are_refused_by_their_form(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ModelError, match=message):
        opened(tmp_path / name, tmp_path)


def test_a_folder_of_pickles_remote_code_and_an_adapter_are_refused(tmp_path):
    folder = Path(write_checkpoint(tmp_path / "model"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="its weights are a pickle"):
        opened(folder, tmp_path)


def test_a_folder_that_names_a_function_imports_nothing(tmp_path):
    save_function(import_function("json:dumps"), tmp_path / "given", labels=(), title="given")
    before = set(sys.modules)
    with pytest.raises(ArtifactError, match="bench score json:dumps SUITE"):
        opened(tmp_path / "given", tmp_path)
    assert set(sys.modules) == before


def test_built_in_models_and_other_objects_are_refused(tmp_path):
    with pytest.raises(ModelError, match="a built-in model is untrained"):
        opened("demo-bert", tmp_path)
    with pytest.raises(ModelError, match="int: not a form that can be scored"):
        opened(3, tmp_path)
