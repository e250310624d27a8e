"""Artifacts: bit-equal outputs after loading, each tensor stored once, damage found and named."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
import torch
from families import ENCODERS, make, outputs, same_outputs, same_state, state
from torch import nn

from bench.artifacts import artifact
from bench.artifacts.manifest import Manifest
from bench.artifacts.source import open_source
from bench.base.errors import ArtifactError
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.models.adapter import adapter_for
from bench.models.modules import copy_model, replace_module


def plain(model):
    return model


def shared(model):
    adapter = adapter_for(model)
    layers = adapter.layers(model)
    adapter.set_layers(model, [layers[0], layers[-1], layers[0], layers[-1], layers[0]])
    return model


def factorized(model):
    for name, linear in adapter_for(model).linears(model).items():
        left, values, right = torch.linalg.svd(linear.weight.detach(), full_matrices=False)
        product = FactorizedLinear.from_factors(values[:5, None] * right[:5], left[:, :5], linear.bias)
        replace_module(model, name, product)
    return model


def quantized(model):
    for name, linear in adapter_for(model).linears(model).items():
        replace_module(model, name, Int8Linear.from_float(linear.weight, linear.bias))
    return model


def pruned(model):
    with torch.no_grad():
        for linear in adapter_for(model).linears(model).values():
            kept = (
                linear.weight.abs() >= linear.weight.abs().flatten().kthvalue(int(0.9 * linear.weight.numel())).values
            )
            linear.weight.masked_fill_(~kept, 0)  # a product with the mask would leave -0.0, which is not +0.0
    return model


def tied(model):
    adapter = adapter_for(model)
    if adapter.fused:  # queries and keys are one matrix
        first, *others = adapter.linears(model, ["attention_output"]).values()
        for other in others:
            other.weight = first.weight
        return model
    pairs = zip(adapter.linears(model, ["key"]).values(), adapter.linears(model, ["query"]).values(), strict=True)
    for key, query in pairs:
        query.weight = key.weight
    return model


def everything(model):
    """Shared layers whose linears are int8 with zeros."""
    return quantized(pruned(shared(model)))


FORMS = (plain, shared, factorized, quantized, pruned, tied, everything)


def stored_bytes(directory) -> int:
    """Bytes of tensors in the weights file, without its header."""
    path = directory / "model.safetensors"
    with path.open("rb") as stream:
        (header,) = struct.unpack("<Q", stream.read(8))
    return path.stat().st_size - 8 - header


def unique_bytes(model) -> int:
    """Bytes of every tensor of the model, each memory once; buffers that are not saved are left out."""
    seen = {tensor.data_ptr(): tensor for tensor in model.state_dict(keep_vars=True).values()}
    return sum(tensor.numel() * tensor.element_size() for tensor in seen.values())


def bitmask_bytes(tensor) -> int:
    return (tensor.numel() + 7) // 8 + int((tensor != 0).sum()) * tensor.element_size()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("family", ENCODERS)
def test_outputs_are_bit_equal_after_loading_and_every_tensor_is_stored_once(family, form, tmp_path, tokenizer):
    model = form(make(family))
    before = state(model)
    digest = artifact.save(model, tmp_path / "a", tokenizer=tokenizer, made=Manifest(title="x"))
    loaded = artifact.load(tmp_path / "a")
    assert same_outputs(model, loaded.model)
    assert same_state(model, before)
    assert same_state(loaded.model, before)
    assert not loaded.model.training
    assert loaded.content_hash == digest == artifact.content_hash(tmp_path / "a")
    assert [type(module) for module in loaded.model.modules()] == [type(module) for module in model.modules()]
    if form not in (pruned, everything):
        assert stored_bytes(tmp_path / "a") == unique_bytes(model)


def test_saving_a_loaded_artifact_again_gives_the_same_content(tmp_path, tokenizer):
    digest = artifact.save(everything(make("albert")), tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a")
    again = artifact.save(loaded.model, tmp_path / "b", tokenizer=loaded.tokenizer, made=Manifest(compress_s=3.5))
    assert again == digest


def test_sharing_all_layers_stores_one_of_them(tmp_path, tokenizer):
    model = make("bert")
    layer_bytes = sum(p.numel() * 4 for p in adapter_for(model).layers(model)[0].parameters())
    artifact.save(model, tmp_path / "four", tokenizer=tokenizer)
    adapter_for(model).set_layers(model, adapter_for(model).layers(model)[:1] * 4)
    artifact.save(model, tmp_path / "one", tokenizer=tokenizer)
    assert stored_bytes(tmp_path / "four") - stored_bytes(tmp_path / "one") == 3 * layer_bytes


def test_int8_stores_one_byte_a_weight_and_four_a_channel(tmp_path, tokenizer):
    dense, narrow = make("bert"), quantized(make("bert"))
    artifact.save(dense, tmp_path / "a", tokenizer=tokenizer)
    artifact.save(narrow, tmp_path / "b", tokenizer=tokenizer)
    linears = adapter_for(dense).linears(dense).values()
    saved = sum(3 * linear.weight.numel() - 4 * linear.out_features for linear in linears)
    assert stored_bytes(tmp_path / "a") - stored_bytes(tmp_path / "b") == saved


def test_zeros_are_stored_as_a_bitmask_and_executed_dense(tmp_path, tokenizer):
    dense, sparse = make("bert"), pruned(make("bert"))
    artifact.save(dense, tmp_path / "a", tokenizer=tokenizer)
    artifact.save(sparse, tmp_path / "b", tokenizer=tokenizer)
    linears = adapter_for(sparse).linears(sparse).values()
    saved = sum(4 * linear.weight.numel() - bitmask_bytes(linear.weight) for linear in linears)
    assert stored_bytes(tmp_path / "a") - stored_bytes(tmp_path / "b") == saved
    assert unique_bytes(artifact.load(tmp_path / "b").model) == unique_bytes(dense)


@pytest.mark.parametrize("family", ENCODERS)
def test_tied_embeddings_of_a_masked_language_model_stay_tied(family, tmp_path, tokenizer):
    model = make(family, "masked-language-modelling")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a").model
    assert same_outputs(model, loaded)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert stored_bytes(tmp_path / "a") == unique_bytes(model)


def test_embeddings_untied_after_building_stay_untied(tmp_path, tokenizer):
    model = make("bert", "masked-language-modelling")
    decoder = model.get_output_embeddings()
    decoder.weight = nn.Parameter(decoder.weight.detach() + 1)
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a").model
    assert same_outputs(model, loaded)
    assert loaded.get_output_embeddings().weight is not loaded.get_input_embeddings().weight


@pytest.mark.parametrize("family", ENCODERS)
def test_a_question_answering_head_survives(family, tmp_path, tokenizer):
    model = make(family, "question-answering", labels=2)
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert same_outputs(model, artifact.load(tmp_path / "a").model)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtype_and_attention_implementation_survive(dtype, attention, tmp_path, tokenizer):
    model = make("bert", attn_implementation=attention).to(dtype)
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a").model
    assert same_outputs(model, loaded)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert loaded.config._attn_implementation == attention


def test_labels_survive(tmp_path, tokenizer):
    model = make("bert", labels=2)
    model.config.id2label = {0: "negative", 1: "positive"}
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert artifact.load(tmp_path / "a").model.config.id2label == {0: "negative", 1: "positive"}


def test_a_narrower_stock_linear_is_rebuilt_from_its_arguments(tmp_path, tokenizer):
    model = make("bert")
    layer = adapter_for(model).layers(model)[2]
    wide, back = layer.intermediate.dense, layer.output.dense
    layer.intermediate.dense, layer.output.dense = nn.Linear(32, 48), nn.Linear(48, 32)
    with torch.no_grad():
        layer.intermediate.dense.weight.copy_(wide.weight[:48])
        layer.output.dense.weight.copy_(back.weight[:, :48])
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert same_outputs(model, artifact.load(tmp_path / "a").model)


def test_every_parameter_of_a_loaded_model_can_be_trained(tmp_path, tokenizer):
    artifact.save(make("albert"), tmp_path / "a", tokenizer=tokenizer)
    model = artifact.load(tmp_path / "a").model
    assert all(parameter.requires_grad for parameter in model.parameters())
    ids = torch.tensor([[2, 5, 3]])
    model(input_ids=ids).logits.sum().backward()
    assert model.classifier.weight.grad is not None


def test_loading_leaves_the_random_state_alone(tmp_path, tokenizer):
    artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer)
    before = torch.random.get_rng_state()
    artifact.load(tmp_path / "a")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_tokenizer_survives_without_the_padding_of_its_last_call(tmp_path, tokenizer):
    model = make("bert")
    first = artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    tokenizer(["the film", "the"], padding="max_length", truncation=True, max_length=6)
    second = artifact.save(model, tmp_path / "b", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a").tokenizer
    text, pair = "the film was xyzzy", "not very good"
    assert loaded(text, pair)["input_ids"] == tokenizer(text, pair)["input_ids"]
    assert loaded.model_input_names == tokenizer.model_input_names
    assert loaded.pad_token_id == tokenizer.pad_token_id
    assert first == second


def test_what_was_made_is_kept_but_does_not_change_the_content_hash(tmp_path, tokenizer):
    one = artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer, made=Manifest(compress_s=1.0))
    two = artifact.save(
        make("bert"), tmp_path / "b", tokenizer=tokenizer, made=Manifest(compress_s=2.0, files={"x": "y"})
    )
    other = artifact.save(make("bert", seed=1), tmp_path / "c", tokenizer=tokenizer, made=Manifest(compress_s=1.0))
    assert one == two != other
    assert artifact.load(tmp_path / "b").manifest.compress_s == 2.0
    assert "x" not in artifact.load(tmp_path / "b").manifest.files


def test_size_is_weights_and_side_data(tmp_path, tokenizer):
    artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer)
    expected = (tmp_path / "a/model.safetensors").stat().st_size + (tmp_path / "a/layers.json").stat().st_size
    assert artifact.size_bytes(tmp_path / "a") == expected
    with pytest.raises(ArtifactError, match="not an artifact"):
        artifact.size_bytes(tmp_path)


def test_copying_a_used_quantized_model_keeps_its_outputs():
    model = everything(make("electra"))
    before = outputs(model)[0]
    copied = copy_model(model)
    assert torch.equal(outputs(copied)[0], before)
    assert {id(m) for m in model.modules()}.isdisjoint({id(m) for m in copied.modules()})


def halved(model):
    return model.half()


def classes_of(model):
    """The Auto classes and the concrete ones that a user would load `model` with."""
    import transformers

    return [
        *(transformers.AutoModel, transformers.AutoModelForSequenceClassification),
        *(type(model), type(getattr(model, model.base_model_prefix))),
    ]


@pytest.mark.parametrize("form", [shared, factorized, quantized, pruned, tied, everything])
@pytest.mark.parametrize("family", ENCODERS)
def test_transformers_refuses_a_compressed_form_and_says_what_reads_it(family, form, tmp_path, tokenizer):
    if (family, form) == ("albert", shared):
        pytest.skip("an ALBERT shares its layers itself; one whose groups differ is dense")
    model = form(make(family))
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    for auto in classes_of(model):
        with pytest.raises(ValueError, match=r"compressed form; read them with bench\.load_artifact\(DIRECTORY\)"):
            auto.from_pretrained(tmp_path / "a", local_files_only=True)
    assert same_outputs(artifact.load(tmp_path / "a").model, model)


@pytest.mark.parametrize("form", [plain, halved])
@pytest.mark.parametrize("head", ["sequence-classification", "question-answering", "masked-language-modelling"])
@pytest.mark.parametrize("family", ENCODERS)
def test_transformers_loads_a_dense_artifact_as_it_is(family, head, form, tmp_path, tokenizer):
    model = form(make(family, head, labels=2))
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = type(model).from_pretrained(tmp_path / "a", local_files_only=True).eval()
    assert same_state(loaded, state(model)) or head == "masked-language-modelling"  # its bias has a second name there
    if form is plain:
        assert same_outputs(loaded, model)


def test_an_artifact_from_before_that_was_refused_still_loads(tmp_path, tokenizer):
    model = quantized(make("bert"))
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    config, recipe = tmp_path / "a" / "config.json", tmp_path / "a" / "recipe.json"
    settings, manifest = json.loads(config.read_text()), json.loads(recipe.read_text())
    del settings["transformers_weights"]
    config.write_text(json.dumps(settings))
    manifest["files"]["config.json"] = hashlib.sha256(config.read_bytes()).hexdigest()
    recipe.write_text(json.dumps(manifest))
    assert same_outputs(artifact.load(tmp_path / "a").model, model)


def test_a_dense_model_made_from_a_compressed_artifact_is_not_refused(tmp_path, tokenizer):
    model = quantized(make("bert", labels=2))
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    source = open_source(str(tmp_path / "a"))
    options = {"head": "sequence-classification", "labels": ("a", "b"), "tokenizer": tokenizer, "seed": 0}
    artifact.save(source.build(**options, pretrained=False), tmp_path / "b", tokenizer=tokenizer)
    assert type(model).from_pretrained(tmp_path / "b", local_files_only=True).num_labels == 2
