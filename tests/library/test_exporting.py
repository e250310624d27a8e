import json

import pytest
import torch

import bench
from bench.artifacts import artifact
from bench.base.errors import ArtifactError, MethodError, UnknownNameError


@pytest.fixture
def folder(tiny_bert, tokenizer, tmp_path):
    artifact.save(tiny_bert(layers=1), tmp_path / "artifact", tokenizer=tokenizer)
    return tmp_path / "artifact"


def test_an_exported_folder_runs_without_bench(folder, tmp_path, tiny_bert):
    openvino = pytest.importorskip("openvino")
    written = bench.export(folder, tmp_path / "out", to="openvino")
    assert written.difference < 1e-4
    assert {"openvino.xml", "openvino.bin", "config.json", "tokenizer.json"} <= set(written.files)
    assert "transformers_weights" not in json.loads((tmp_path / "out" / "config.json").read_text())
    ids = torch.tensor([[2, 7, 8, 3]])
    found = openvino.Core().compile_model(str(tmp_path / "out" / "openvino.xml"), "CPU")(
        {"input_ids": ids.numpy(), "attention_mask": torch.ones_like(ids).numpy()}
    )
    with torch.inference_mode():
        expected = tiny_bert(layers=1)(input_ids=ids).logits
    assert torch.allclose(torch.from_numpy(found["logits"]), expected, atol=1e-5)


def test_an_unknown_form_and_an_existing_folder_are_refused(folder, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'onnx'"):
        bench.export(folder, tmp_path / "out", to="onx")
    with pytest.raises(ArtifactError, match="already exists"):
        bench.export(folder, folder, to="onnx")
    assert not (tmp_path / "out").exists()


def test_a_folder_for_transformers_is_loaded_by_it_alone(folder, tmp_path, tiny_bert):
    transformers = pytest.importorskip("transformers")
    written = bench.export(folder, tmp_path / "out", to="transformers")
    assert (written.difference, written.notes) == (0.0, ())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(written.files)
    found = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    ids = torch.tensor([[2, 7, 8, 3]])
    with torch.inference_mode():
        expected = tiny_bert(layers=1)(input_ids=ids).logits
        assert torch.allclose(found(input_ids=ids).logits, expected, atol=1e-6)  # another kernel of attention


def test_products_are_multiplied_out_on_request_and_only_for_transformers(folder, tmp_path):
    with pytest.raises(MethodError, match="--dense is for --to transformers"):
        bench.export(folder, tmp_path / "out", to="onnx", dense=True)
    written = bench.export(folder, tmp_path / "out", to="transformers", dense=True)
    assert written.notes == ("products are multiplied out, shared layers repeated",)
