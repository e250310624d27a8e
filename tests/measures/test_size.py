from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from families import ENCODERS, make

from bench.artifacts import artifact
from bench.base.errors import ArtifactError
from bench.layers.int8 import Int8Linear
from bench.measures.storage.size import Size, read_container
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module

FILES = ("model.safetensors", "layers.json")


@pytest.fixture
def saved(tmp_path, tokenizer):
    """A function that saves a model as an artifact and gives what is loaded from it."""

    def save(model, name):
        artifact.save(model, tmp_path / name, tokenizer=tokenizer)
        return artifact.load(tmp_path / name)

    return save


def read(mine, theirs, *, is_reference=False, widened_bytes=0):
    return Size().read(
        SimpleNamespace(
            artifact=mine,
            reference=theirs,
            artifact_dir=mine.directory,
            reference_dir=theirs.directory,
            is_reference=is_reference,
            widened_bytes=widened_bytes,
        )
    )


def quantized(model):
    for name, linear in adapter_for(model).linears(model).items():
        replace_module(model, name, Int8Linear.from_float(linear.weight, linear.bias))
    return model


def pruned(model):
    with torch.no_grad():
        for linear in adapter_for(model).linears(model).values():
            linear.weight[linear.weight.abs() < linear.weight.abs().median()] = 0
    return model


def shared(model):
    adapter = adapter_for(model)
    adapter.set_layers(model, adapter.layers(model)[:1] * 4)
    return model


def on_disk(loaded):
    return sum((loaded.directory / name).stat().st_size for name in FILES)


def test_size_is_the_bytes_of_weights_and_side_data_and_compression_is_their_ratio(tiny_bert, saved):
    reference, small = saved(tiny_bert(layers=4), "reference"), saved(tiny_bert(layers=1), "small")
    reading = read(small, reference)
    assert (reading.values["size_bytes"], reading.reference["size_bytes"]) == (on_disk(small), on_disk(reference))
    assert reading.values["compression"] == on_disk(reference) / on_disk(small) > 1
    assert reading.warnings == []


def test_the_histogram_is_the_bytes_and_elements_of_every_stored_tensor_by_dtype(saved):
    reading = read(saved(quantized(make("bert")), "int8"), saved(make("bert"), "reference"))
    int8 = 4 * (4 * 32 * 32 + 2 * 32 * 64)
    tensors = {id(t): t for t in quantized(make("bert")).state_dict(keep_vars=True).values()}.values()
    floats = sum(t.numel() for t in tensors if t.dtype == torch.float32)
    assert reading.conditions["stored_bytes_by_dtype"] == {"I8": int8, "F32": 4 * floats}
    assert reading.conditions["stored_elements_by_dtype"] == {"I8": int8, "F32": floats}
    assert set(reading.conditions["reference"]["stored_bytes_by_dtype"]) == {"F32"}


@pytest.mark.parametrize("form", [lambda model: model, quantized, pruned, shared, lambda m: quantized(pruned(m))])
@pytest.mark.parametrize("family", ENCODERS)
def test_the_parts_of_the_difference_add_up_to_it_exactly(family, form, saved):
    loaded = saved(form(make(family)), "a")
    reading = read(loaded, loaded)
    explained = reading.conditions["size_explained"]
    assert reading.values["size_bytes"] == on_disk(loaded)
    assert sum(explained.values()) == on_disk(loaded) - reading.values["size_bytes_theoretical"]
    # Theory is computed from the model alone, and yet meets what was written.
    assert explained["beyond_theory"] == 0
    assert explained["container_header"] > 8
    assert 0 <= explained["alignment"] < 8
    encodings = json.loads((loaded.directory / "layers.json").read_text(encoding="utf-8"))["encodings"]
    assert (explained["encodings"] > 0) == bool(encodings)


def test_weights_held_wider_than_their_layer_says_are_beyond_theory(saved, monkeypatch):
    loaded = saved(quantized(make("bert")), "a")
    monkeypatch.setattr(Int8Linear, "weight_bits", 2)  # a layer that claims two bits and stores bytes
    weights = sum(m.weight.numel() for m in loaded.model.modules() if isinstance(m, Int8Linear))
    explained = read(loaded, loaded).conditions["size_explained"]
    assert explained["beyond_theory"] == weights - weights // 4 > 0


def test_a_mask_that_saves_nothing_is_flagged(tiny_bert, saved):
    masked = tiny_bert()
    with torch.no_grad():
        masked.bert.encoder.layer[0].intermediate.dense.weight.view(-1)[::50] = 0  # too few zeros to be worth a mask
    reading = read(saved(masked, "masked"), saved(tiny_bert(), "reference"))
    assert [code for code, _ in reading.warnings] == ["not-smaller"]
    assert reading.values["compression"] == pytest.approx(1.0, abs=0.01)


def test_the_reference_beside_itself_is_no_smaller_and_not_flagged(tiny_bert, saved):
    loaded = saved(tiny_bert(), "reference")
    reading = read(loaded, loaded, is_reference=True)
    assert reading.values["compression"] == 1.0
    assert reading.warnings == []


def test_compression_of_a_model_in_half_precision_is_against_what_was_given(tiny_bert, saved):
    reference, half = saved(tiny_bert(layers=4), "reference"), saved(tiny_bert(layers=4).half(), "half")
    widened = 2 * sum(tensor.numel() for tensor in reference.model.parameters())
    given = on_disk(reference) - widened
    reading = read(half, reference, widened_bytes=widened)
    # Storing in half precision what came in half precision saves nothing; the files differ in the word "F16" alone.
    assert reading.values["compression"] == given / on_disk(half) == pytest.approx(1.0, rel=0.01)
    assert reading.reference["compression"] == given / on_disk(reference) == pytest.approx(0.5, rel=0.05)
    assert reading.conditions["given_bytes"] == given
    assert [code for code, _ in reading.warnings] == ["given-in-half-precision"]
    assert (reading.values["size_bytes"], reading.reference["size_bytes"]) == (on_disk(half), on_disk(reference))


def test_a_float32_copy_of_what_was_given_in_half_precision_is_flagged(tiny_bert, saved):
    loaded = saved(tiny_bert(), "reference")
    reading = read(loaded, loaded, widened_bytes=on_disk(loaded) // 4)
    assert reading.values["compression"] == pytest.approx(0.75, abs=1e-3)
    assert [code for code, _ in reading.warnings] == ["given-in-half-precision", "not-smaller"]


def test_what_was_given_in_float32_is_its_reference(tiny_bert, saved):
    reading = read(saved(tiny_bert(layers=1), "small"), saved(tiny_bert(), "reference"))
    assert reading.reference["compression"] == 1.0
    assert reading.conditions["given_bytes"] == reading.reference["size_bytes"]


def test_weights_without_a_readable_header_are_an_error_that_names_the_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0not j")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: header of the weights cannot be read"):
        read_container(tmp_path)
