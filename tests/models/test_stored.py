"""What a weights file holds is read from its header: quantized ones are refused by name, half precision is counted."""

from __future__ import annotations

import json

import pytest
import torch
from architectures import make_model
from families import ENCODERS, make
from safetensors.torch import load_file, save_file

from bench.artifacts import artifact
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.layers.int8 import Int8Linear
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module
from bench.models.stored import bytes_by_dtype, stored_tensors
from bench.models.tokenizer import write_tokenizer

WEIGHT = "bert.encoder.layer.0.attention.output.dense.weight"


@pytest.fixture
def folder(tmp_path, tokenizer):
    def write(model, **options):
        model.save_pretrained(tmp_path / "m", **options)
        write_tokenizer(tokenizer, tmp_path / "m")
        return tmp_path / "m"

    return write


def edit(path, change):
    tensors = load_file(path / "model.safetensors")
    change(tensors)
    save_file(tensors, path / "model.safetensors", {"format": "pt"})


def configure(path, **settings):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **settings}))


def held(path, labels=("a", "b", "c"), head="sequence-classification"):
    return open_source(str(path)).held(head=head, labels=labels)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq, 4 bits"),
        ({"quant_method": "awq", "bits": 4}, "awq, 4 bits"),
        ({"load_in_8bit": True, "quant_method": "bitsandbytes"}, "bitsandbytes, 8 bits"),
        ({"load_in_4bit": True, "quant_method": "bitsandbytes"}, "bitsandbytes, 4 bits"),
        ({"quant_method": "compressed-tensors", "format": "int-quantized"}, "compressed-tensors"),
        ({"quant_method": "torchao", "quant_type": {}}, "torchao"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "of-tomorrow"}, "of-tomorrow"),
        ({"bits": 2}, "an unnamed method, 2 bits"),
        ("int8", "int8"),
    ],
)
def test_a_quantized_checkpoint_is_refused_by_name_when_it_is_opened(settings, said, folder):
    path = folder(make("bert"))
    configure(path, quantization_config=settings)
    with pytest.raises(
        ModelError, match=rf"quantization_config: the checkpoint is quantized by {said}, which"
    ) as caught:
        open_source(str(path))
    assert "Give the original float checkpoint" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"compression_config": {"format": "pack-quantized"}}, "compression_config"),
        ({"encoder": {"quantization_config": {"quant_method": "hqq"}}}, "encoder.quantization_config"),
    ],
)
def test_wherever_the_configuration_says_so(settings, place, folder):
    path = folder(make("bert"))
    configure(path, **settings)
    with pytest.raises(ModelError, match=f"config.json: {place}: the checkpoint is quantized by"):
        open_source(str(path))


def test_an_empty_entry_is_none(folder):
    path = folder(make("bert"))
    configure(path, quantization_config=None)
    assert open_source(str(path)).kind == "directory"


@pytest.mark.parametrize(
    ("dtype", "named"),
    [
        (torch.int8, "I8"),
        (torch.uint8, "U8"),
        (torch.int32, "I32"),
        (torch.bool, "BOOL"),
        (torch.float8_e4m3fn, "F8_E4M3"),
        (torch.float8_e5m2, "F8_E5M2"),
    ],
)
def test_weights_that_are_no_plain_floats_are_refused_by_their_dtype(dtype, named, folder):
    path = folder(make("bert"))

    def quantize(tensors):
        scale = tensors[WEIGHT].abs().max() / 127
        tensors[WEIGHT] = (tensors[WEIGHT] / scale).round().to(dtype)
        tensors[f"{WEIGHT}_scale"] = scale.reshape(1)

    edit(path, quantize)
    with pytest.raises(ModelError, match=rf"'{WEIGHT}' \[32, 32\] is stored as {named} \(1 such\)"):
        open_source(str(path))


def test_in_shards_they_are_found_too(folder):
    path = folder(make("bert"), max_shard_size="20KB")
    shard = path / json.loads((path / "model.safetensors.index.json").read_text())["weight_map"][WEIGHT]
    tensors = load_file(shard)
    tensors[WEIGHT] = tensors[WEIGHT].to(torch.int8)
    save_file(tensors, shard, {"format": "pt"})
    with pytest.raises(ModelError, match="is stored as I8"):
        open_source(str(path))


def test_buffers_of_whole_numbers_are_no_weights(folder):
    path = folder(make("bert"))
    edit(path, lambda tensors: tensors.update({"bert.embeddings.position_ids": torch.arange(40)[None]}))
    assert open_source(str(path)).kind == "directory"


def test_a_compressed_artifact_is_no_such_checkpoint(tmp_path, tokenizer):
    model = make("bert")
    for name, linear in adapter_for(model).linears(model).items():
        replace_module(model, name, Int8Linear.from_float(linear.weight, linear.bias))
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert open_source(str(tmp_path / "a")).kind == "artifact"


@pytest.mark.parametrize("damage", [b"\xff" * 8, b"\x05\0\0\0\0\0\0\0not j", b"\x02\0\0\0\0\0\0\0[]", b""])
def test_a_header_that_cannot_be_read_names_the_file(damage, folder):
    path = folder(make("bert"))
    (path / "model.safetensors").write_bytes(damage)
    with pytest.raises(ModelError, match=r"model\.safetensors: its header cannot be read"):
        open_source(str(path))


def test_bytes_are_told_by_dtype(folder):
    model = make("bert")
    path = folder(model)
    elements = sum(tensor.numel() for tensor in model.state_dict().values())
    edit(path, lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].half()}))
    expected = {"F16": 2 * 32 * 32, "F32": 4 * (elements - 32 * 32)}
    assert bytes_by_dtype(stored_tensors(path, where="m")) == expected


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "F16"), (torch.bfloat16, "BF16")])
@pytest.mark.parametrize("family", ENCODERS)
def test_a_model_in_half_precision_is_widened_by_two_bytes_an_element(family, dtype, name, folder):
    model = make(family)
    model.config.id2label = {0: "a", 1: "b", 2: "c"}
    elements = sum(tensor.numel() for tensor in model.parameters())
    found = held(folder(model.to(dtype)))
    assert (found.bytes_by_dtype, found.widened_bytes) == ({name: 2 * elements}, 2 * elements)


def test_what_is_not_in_the_file_is_not_widened(folder):
    model = make("bert").half()
    encoder = sum(tensor.numel() for tensor in model.bert.parameters())
    assert held(folder(model.bert)).widened_bytes == 2 * encoder  # a new head is float32 from the start
    assert held(folder(model), labels=("a", "b")).widened_bytes == 2 * encoder


def test_what_the_task_does_not_use_is_not_counted(folder):
    model = make("bert", "masked-language-modelling").half()
    elements = sum(tensor.numel() for tensor in model.bert.parameters())
    assert held(folder(model)).widened_bytes == 2 * elements


@pytest.mark.parametrize("form", ["single", "mixed", "double"])
def test_wider_and_equal_tensors_add_nothing(form, folder):
    model = make("bert", labels=2)
    path = folder({"single": model, "mixed": model, "double": model.double()}[form])
    if form == "mixed":
        edit(path, lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].bfloat16()}))
    assert held(path).widened_bytes == (2 * 32 * 32 if form == "mixed" else 0)


def test_both_halves_of_a_translator_made_of_an_encoder_are_widened(folder):
    model = make("bert", "masked-language-modelling").half()
    path = folder(model)
    source = open_source(str(path))
    built = source.build(head="translation", labels=None, tokenizer=source.tokenizer(list), seed=0)
    fresh = sum(t.numel() for name, t in built.named_parameters() if "crossattention" in name)
    whole = sum(tensor.numel() for tensor in built.parameters())
    assert held(path, None, "translation").widened_bytes == 2 * (whole - fresh)


def test_a_tied_table_is_widened_once(folder):
    model = make_model("marian")
    positions = sum(tensor.numel() for name, tensor in model.named_parameters() if "embed_positions" in name)
    trained = sum(tensor.numel() for tensor in model.parameters()) - positions  # these are computed, and in no file
    expected = 2 * (trained + model.final_logits_bias.numel())
    found = held(folder(model.half()), None, "translation")
    assert (found.bytes_by_dtype, found.widened_bytes) == ({"F16": expected}, expected)


def test_a_built_in_model_holds_nothing():
    assert open_source("demo-bert").held(head="sequence-classification", labels=("a", "b")) is None
