"""BinaryBERT in whole models: the split network is the ternary one, and what it becomes is packed and counted."""

from __future__ import annotations

import pytest
import torch
from made_quantizers import quantize
from pydantic import ValidationError

from bench.artifacts.artifact import load, save
from bench.base.errors import MethodError
from bench.layers.composite import SumEmbedding, SumLinear
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.summed import SummedEmbedding, SummedLinear
from bench.measures.computation.trace import trace
from bench.measures.storage.size import read_container
from bench.methods.base.method import ROLES
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.activations import rounded_inputs
from bench.methods.quantize.aware import prepared
from bench.methods.quantize.grids import Binary, Ternary
from bench.methods.quantize.quantize import Quantize
from bench.methods.quantize.site import find_sites
from bench.methods.quantize.splitting import halved, trained_in_halves
from bench.models.adapter import adapter_for
from bench.models.heads import from_config
from bench.models.modules import copy_model

ALL = (*ROLES, "embedding")
SUMMED = (SumLinear, SumEmbedding)
ALL_TERMS = {
    "logits": 0.5,
    "states": {"weight": 0.5, "reduce": "sum"},
    "attention-scores": {"weight": 0.5, "reduce": "sum"},
}


def method(**changes):
    settings = {
        "scheme": "weights", "grid": "ternary", "bits": 2, "granularity": "tensor", "embedding_granularity": "row",
        "targets": ALL, "scheme__split": True,
    }  # fmt: skip
    return quantize(**{**settings, **changes})


def lively(model):
    """Larger weights, so that what rounding does to them shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    return model


def test_logits_of_the_split_network_are_those_of_the_ternary_one(make_lab, tiny_bert, logits_of):
    model = lively(tiny_bert())
    ternary = method(scheme__split=False).compress(model, make_lab())
    binary = method().compress(model, make_lab())
    summed = [module for module in binary.modules() if isinstance(module, SUMMED)]
    assert len(summed) == 4 * 6 + 1
    # Two sums of magnitudes in float32 differ by some units in the last place.
    torch.testing.assert_close(logits_of(binary), logits_of(ternary), rtol=1e-5, atol=1e-5)
    assert (logits_of(ternary) - logits_of(model)).abs().max() > 1e-2


def test_every_matrix_is_split_into_two_of_one_bit_with_half_the_ternary_scale(make_lab, tiny_bert):
    model = lively(tiny_bert())
    ternary = method(scheme__split=False).compress(model, make_lab())
    binary = method().compress(model, make_lab())
    for name, module in binary.named_modules():
        if not isinstance(module, SUMMED):
            continue
        its = ternary.get_submodule(name)
        torch.testing.assert_close(module.dense(), its.dense(), rtol=1e-5, atol=1e-7)
        for half in (module.first, module.second):
            assert (half.coding.form, half.coding.bits) == ("signs", 1)
            torch.testing.assert_close(half.scale, its.scale / 2, rtol=1e-5, atol=0)
    scales = binary.get_submodule("bert.embeddings.word_embeddings").first.scale
    assert scales.shape == (100, 1)
    assert len(scales.unique()) > 90


def test_latent_halves_add_up_to_the_latent_weight_and_keep_its_bias(make_lab, tiny_bert):
    model = tiny_bert()
    work = method().work(copy_model(model), make_lab())
    sites = find_sites(work.model, ALL)
    aware = prepared(work, sites, {site.name: 2 for site in sites}, {})
    for site in sites:
        halved(work.model, site, aware.coded)
    for name, module in work.model.named_modules():
        if isinstance(module, (SummedLinear, SummedEmbedding)):
            weight = model.get_submodule(name).weight
            torch.testing.assert_close(module.first + module.second, weight, rtol=0, atol=1e-7)
        if isinstance(module, SummedLinear):
            assert torch.equal(module.bias, model.get_submodule(name).bias)


def test_training_moves_the_halves_apart_and_what_is_packed_is_what_ran(make_lab, tiny_bert, logits_of):
    lab = make_lab(lively(tiny_bert()))
    settings = method(budget=2.0, terms=ALL_TERMS, scheme__activation_bits=8)
    work = settings.work(copy_model(lab.reference), lab)
    sites = find_sites(work.model, ALL)
    scheme = settings.scheme
    inputs = rounded_inputs(
        work, sites, bits=scheme.activation_bits, grid=scheme.activation_grid, span=scheme.activation_span
    )
    bits = {site.name: 2 for site in sites}
    halves, aware = trained_in_halves(work, sites, bits, inputs, ternary_share=scheme.ternary_share)
    with aware.standing():
        fake = logits_of(work.model)
    for half in halves:
        rounding = aware.inputs.get(half.multiplies)
        half.put(work.model, aware.coded, None if rounding is None else rounding.stored())
    torch.testing.assert_close(logits_of(work.model), fake, rtol=0, atol=1e-5)
    query = work.model.bert.encoder.layer[0].attention.self.query
    assert isinstance(query, SumLinear)
    assert query.activation_bits == 8
    assert (query.dense() != 0).all()  # the scales have left each other, so that zeros are none any more
    assert not torch.equal(query.first.scale, query.second.scale)
    assert torch.isfinite(fake).all()


def test_the_stage_trains_ternary_weights_for_its_share_and_binary_ones_for_the_rest(make_lab, tiny_bert, monkeypatch):
    seen = []

    def watched(method, model, lab, aware, *, share):
        kinds = {type(module) for module in model.modules()} & {SummedLinear, SummedEmbedding}
        seen.append((share, {type(latent.matrix.quantizer.grid) for latent in aware._latent}, len(kinds)))

    monkeypatch.setattr("bench.methods.quantize.splitting.train_aware", watched)
    method(budget=3.0, scheme__ternary_share=0.25).compress(tiny_bert(), make_lab())
    assert seen == [(0.25, {Ternary}, 0), (0.75, {Binary}, 2)]


def test_the_given_model_may_teach_where_the_reference_is_wider(make_lab, tiny_bert):
    from transformers import BertConfig, BertForSequenceClassification

    wider = BertConfig(
        vocab_size=100, hidden_size=48, num_hidden_layers=4, num_attention_heads=6, intermediate_size=64,
        max_position_embeddings=64, num_labels=2,
    )  # fmt: skip
    torch.manual_seed(0)
    lab = make_lab(BertForSequenceClassification(wider).eval())
    settings = {"budget": 0.5, "terms": ALL_TERMS}
    given = tiny_bert()
    before = {name: tensor.clone() for name, tensor in given.state_dict().items()}
    method(teacher="given", **settings).compress(given, lab)
    assert all(torch.equal(before[name], tensor) for name, tensor in given.state_dict().items())
    with pytest.raises((MethodError, RuntimeError)):
        method(**settings).compress(given, lab)


def test_split_weights_survive_the_disk_and_take_two_bits(make_lab, tiny_bert, logits_of, tokenizer, tmp_path):
    binary = method(scheme__activation_bits=4).compress(tiny_bert(), make_lab())
    save(binary, tmp_path / "a", tokenizer=tokenizer)
    again = load(tmp_path / "a").model
    for name, tensor in binary.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert torch.equal(logits_of(again), logits_of(binary))
    codings = [module.coding for module in binary.modules() if isinstance(module, (LowBitLinear, LowBitEmbedding))]
    weights = 4 * (4 * 32 * 32 + 2 * 32 * 64) + 100 * 32
    assert sum(coding.code_bytes for coding in codings) == 2 * weights // 8
    assert sum(coding.side_bytes for coding in codings) == 4 * 2 * (4 * 6 + 100)
    assert read_container(tmp_path / "a").bytes_by_dtype["U8"] <= 2 * weights // 8
    ternary = method(scheme__split=False, scheme__activation_bits=4).compress(tiny_bert(), make_lab())
    save(ternary, tmp_path / "b", tokenizer=tokenizer)
    assert read_container(tmp_path / "b").bytes_by_dtype["U8"] <= 2 * weights // 8


def test_multiply_adds_are_those_of_one_product_of_the_added_matrices(make_lab, tiny_bert):
    model, inputs = tiny_bert(), {"input_ids": torch.zeros(1, 8, dtype=torch.long)}
    before, after = (trace(each, inputs) for each in (model, method().compress(model, make_lab())))
    assert not after.uncounted
    assert (after.macs, after.bops) == (before.macs, before.bops)
    assert after.macs_effective() < before.macs_effective()  # ternary as long as the halves have equal scales


def test_a_tied_softmax_shares_the_split_table(make_lab, tokenizer, tmp_path):
    from transformers import BertConfig

    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    model = lively(from_config(config, "masked-language-modelling").eval())
    ids = {"input_ids": torch.tensor([[2, 5, 9, 12, 3]])}
    packed, ternary = (method(scheme__split=way).compress(model, make_lab()) for way in (True, False))
    table, softmax = packed.get_input_embeddings(), packed.get_output_embeddings()
    assert isinstance(softmax, SumLinear)
    assert softmax.first.weight is table.first.weight
    with torch.no_grad():
        torch.testing.assert_close(packed(**ids).logits, ternary(**ids).logits, rtol=1e-4, atol=1e-4)
    save(packed, tmp_path / "a", tokenizer=tokenizer)
    again = load(tmp_path / "a").model
    assert (
        again.get_output_embeddings().second.weight.data_ptr() == again.get_input_embeddings().second.weight.data_ptr()
    )


def test_shared_layers_stay_shared(make_lab, tiny_bert):
    model = tiny_bert()
    adapter = adapter_for(model)
    adapter.set_layers(model, [adapter.layers(model)[0]] * 4)
    packed = method(budget=0.5).compress(model, make_lab())
    layers = adapter_for(packed).layers(packed)
    assert all(layer is layers[0] for layer in layers)
    assert len([module for module in packed.modules() if isinstance(module, SUMMED)]) == 7


def test_what_cannot_be_split_is_refused(make_lab, tiny_bert):
    for wrong in ({"grid": "symmetric", "bits": 4}, {"scheme": "dynamic", "bits": 8, "grid": "symmetric"}):
        with pytest.raises(
            ValidationError, match=r"split needs .* grid 'ternary'|argument of quantization scheme 'weights'"
        ):
            method(**wrong, targets=ROLES, granularity="row", embedding_granularity=None)
    factorized = Factorize(rank=8, budget=0).compress(tiny_bert(), make_lab())
    with pytest.raises(MethodError, match="only whole matrices can be split in two"):
        method().compress(factorized, make_lab())


def test_keys_of_stored_artifacts_name_the_new_arguments_only_where_they_are_used():
    assert not Quantize(scheme="weights").stated().keys() - {"scheme"}
    assert method(scheme__ternary_share=0.25).stated()["scheme"] == {
        "name": "weights",
        "split": True,
        "ternary_share": 0.25,
    }
