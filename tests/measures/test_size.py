from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bench import artifact
from bench.errors import ArtifactError
from bench.layers.int8 import Int8Linear
from bench.measures.size import Size, stored_bytes
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module


@pytest.fixture
def saved(tmp_path, tokenizer):
    """A function that saves a model as an artifact and gives its directory."""

    def save(model, name):
        artifact.save(model, tmp_path / name, tokenizer=tokenizer, made={})
        return tmp_path / name

    return save


def read(artifact_dir, reference_dir, *, is_reference=False):
    return Size().read(
        SimpleNamespace(artifact_dir=artifact_dir, reference_dir=reference_dir, is_reference=is_reference)
    )


def quantized(model):
    for name, linear in adapter_for(model).linears(model).items():
        replace_module(model, name, Int8Linear.from_float(linear.weight, linear.bias))
    return model


def test_size_is_the_bytes_of_weights_and_side_data_and_compression_is_their_ratio(tiny_bert, saved):
    reference, small = saved(tiny_bert(layers=4), "reference"), saved(tiny_bert(layers=1), "small")
    reading = read(small, reference)
    files = ("model.safetensors", "layers.json")
    sizes = [sum((folder / name).stat().st_size for name in files) for folder in (small, reference)]
    assert (reading.values["size_bytes"], reading.reference["size_bytes"]) == tuple(sizes)
    assert reading.values["compression"] == sizes[1] / sizes[0] > 1
    assert reading.warnings == []


def test_the_histogram_is_the_bytes_of_every_stored_tensor_by_dtype(tiny_bert, saved):
    model = quantized(tiny_bert())
    reading = read(saved(model, "int8"), saved(tiny_bert(), "reference"))
    int8 = 4 * (4 * 32 * 32 + 2 * 32 * 64)
    rest = 4 * sum(
        t.numel() for t in {id(t): t for t in model.state_dict().values() if t.dtype == torch.float32}.values()
    )
    assert reading.conditions["stored_bytes_by_dtype"] == {"I8": int8, "F32": rest}
    assert reading.conditions["size_bytes_theoretical"] == int8 + rest
    assert set(reading.conditions["reference_stored_bytes_by_dtype"]) == {"F32"}
    assert 0 < reading.values["size_bytes"] - (int8 + rest) < 40_000


def test_a_mask_that_saves_nothing_is_flagged(tiny_bert, saved):
    masked = tiny_bert()
    with torch.no_grad():
        masked.bert.encoder.layer[0].intermediate.dense.weight.view(-1)[::50] = 0  # too few zeros to be worth a mask
    reading = read(saved(masked, "masked"), saved(tiny_bert(), "reference"))
    assert [code for code, _ in reading.warnings] == ["not-smaller"]
    assert reading.values["compression"] == pytest.approx(1.0, abs=0.01)


def test_the_reference_beside_itself_is_no_smaller_and_not_flagged(tiny_bert, saved):
    folder = saved(tiny_bert(), "reference")
    reading = read(folder, folder, is_reference=True)
    assert reading.values["compression"] == 1.0
    assert reading.warnings == []


def test_weights_without_a_readable_header_are_an_error_that_names_the_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0not j")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: header of the weights cannot be read"):
        stored_bytes(tmp_path)
