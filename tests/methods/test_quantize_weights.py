"""Packed weights in whole models: what is stored, what is shared, what is claimed, and that it survives the disk."""

from __future__ import annotations

import pytest
import torch
from made_quantizers import quantize
from pydantic import ValidationError

from bench.artifacts.artifact import load, save, size_bytes
from bench.base.errors import MethodError, ModelError
from bench.layers.composite import ProductLinear
from bench.layers.factorized import FactorizedLinear
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.measures.computation.trace import trace
from bench.measures.storage.parameters import elements, embedding_parameters, nonzero, stored_parameters
from bench.measures.storage.size import read_container
from bench.measures.storage.theory import resident_bytes
from bench.methods.base.method import ROLES
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.prune import Prune
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of, saves_of

ALL = (*ROLES, "embedding")
CHOICES = {
    "four bits": {"bits": 4},
    "gobo": {"bits": 3, "grid": "codebook", "granularity": "tensor"},
    "groups": {"bits": 3, "grid": "interval", "granularity": "groups", "granularity__count": 12},
    "heads": {"bits": 2, "grid": "affine", "granularity": "head"},
    "buckets": {"bits": 2, "granularity": "bucket", "granularity__size": 10},
    "ternary": {"bits": 2, "grid": "ternary", "granularity": "tensor", "embedding_granularity": "row"},
    "binary": {"bits": 1, "grid": "binary"},
    "shifts": {"bits": 8, "grid": "power-of-two", "range": "square-error"},
}


def low(**changes):
    return quantize(**{"scheme": "weights", "targets": ALL, **changes})


def packed_layers(model):
    return {
        name: module for name, module in model.named_modules() if isinstance(module, (LowBitLinear, LowBitEmbedding))
    }


@pytest.mark.parametrize("choice", CHOICES)
def test_a_packed_model_equals_the_float_model_of_the_same_numbers(choice, make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    packed = low(**CHOICES[choice]).compress(model, make_lab())
    layers = packed_layers(packed)
    assert len(layers) == 4 * 6 + 1
    fake = tiny_bert()
    with torch.no_grad():
        for name, layer in layers.items():
            fake.get_submodule(name).weight.copy_(layer.dense())
    torch.testing.assert_close(logits_of(packed), logits_of(fake), rtol=0, atol=1e-5)
    assert not torch.equal(logits_of(packed), logits_of(model))


@pytest.mark.parametrize("choice", CHOICES)
def test_packed_weights_survive_the_disk_to_the_bit_and_take_the_bytes_of_the_formula(
    choice, make_lab, tiny_bert, logits_of, tokenizer, tmp_path
):
    packed = low(**CHOICES[choice]).compress(tiny_bert(), make_lab())
    save(packed, tmp_path / "a", tokenizer=tokenizer)
    again = load(tmp_path / "a").model
    for name, tensor in packed.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert torch.equal(logits_of(again), logits_of(packed))
    layers = packed_layers(packed)
    inside = {id(part) for layer in layers.values() for name, part in layer._buffers.items() if name != "bias"}
    floats = [tensor for tensor in packed.state_dict(keep_vars=True).values() if id(tensor) not in inside]
    coded = sum(layer.coding.code_bytes + layer.coding.side_bytes for layer in layers.values())
    stored = sum(read_container(tmp_path / "a").bytes_by_dtype.values())
    expected = coded + sum(tensor.numel() * tensor.element_size() for tensor in floats)
    # The artifact may leave zeros out of what else is stored, never add anything.
    assert stored <= expected
    assert stored > expected - 32 * 32 * 4
    assert resident_bytes(packed) == expected + 2 * 64 * 8  # and positions and token types, which no file holds


def test_lower_widths_make_smaller_files(make_lab, tiny_bert, tokenizer, tmp_path):
    sizes = []
    for bits in (8, 4, 3, 2):
        packed = low(bits=bits, granularity="tensor").compress(tiny_bert(), make_lab())
        save(packed, tmp_path / str(bits), tokenizer=tokenizer)
        sizes.append(size_bytes(tmp_path / str(bits)))
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


def test_parameters_and_multiply_adds_are_those_of_the_dense_model_and_no_narrow_product_is_claimed(
    make_lab, tiny_bert
):
    model, inputs = tiny_bert(), {"input_ids": torch.zeros(1, 8, dtype=torch.long)}
    packed = low(bits=3, grid="codebook", granularity="tensor").compress(model, make_lab())
    before, after = trace(model, inputs), trace(packed, inputs)
    assert not after.uncounted
    assert (after.macs, after.bops) == (before.macs, before.bops)
    assert elements(stored_parameters(packed)) == elements(stored_parameters(model))
    assert elements(embedding_parameters(packed)) == elements(embedding_parameters(model))
    ternary = low(**CHOICES["ternary"]).compress(model, make_lab())
    zeros = sum(int((layer.dense() == 0).sum()) for layer in packed_layers(ternary).values())
    missing = elements(stored_parameters(ternary)) - nonzero(stored_parameters(ternary))
    assert zeros > 0
    assert missing - zeros == sum(int((t == 0).sum()) for t in model.state_dict().values()) - 32  # padding's row
    assert trace(ternary, inputs).macs_effective() < after.macs_effective()


def test_what_is_claimed_depends_on_the_mode():
    assert Quantize().saving() == Quantize(scheme="static").saving() == {"bytes", "time"}
    assert low(bits=4).saving() == {"bytes"}


def test_role_bits_and_embedding_granularity_are_obeyed(make_lab, tiny_bert):
    method = low(bits=2, role_bits={"ffn_in": 3, "embedding": 8}, granularity="tensor", embedding_granularity="row")
    layers = packed_layers(method.compress(tiny_bert(), make_lab()))
    for name, layer in layers.items():
        expected = 3 if "intermediate" in name else 8 if "embeddings" in name else 2
        assert layer.coding.bits == expected
        assert layer.coding.cells.shape == ((100, 1) if "embeddings" in name else (1, 1))


def test_shared_layers_are_coded_once_and_stay_shared(make_lab, tiny_bert):
    model = tiny_bert()
    adapter = adapter_for(model)
    first = adapter.layers(model)[0]
    adapter.set_layers(model, [first] * 4)
    packed = low(bits=4).compress(model, make_lab())
    layers = adapter_for(packed).layers(packed)
    assert all(layer is layers[0] for layer in layers)
    assert len(packed_layers(packed)) == 7


def test_a_tied_softmax_shares_the_packed_table_and_stays_tied_on_disk(make_lab, tokenizer, tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForMaskedLM(config).eval()
    lab = make_lab()
    with pytest.raises(MethodError, match="tied to the embedding"):
        low(bits=4, targets=("softmax",)).compress(model, lab)
    packed = low(bits=4, grid="codebook", granularity="tensor").compress(model, lab)
    table, softmax = packed.get_input_embeddings(), packed.get_output_embeddings()
    assert isinstance(softmax, LowBitLinear)
    assert softmax.weight is table.weight
    ids = torch.tensor([[2, 5, 9, 3]])
    with torch.inference_mode():
        assert torch.isfinite(packed(input_ids=ids).logits).all()
    from bench.layers.sharing import tied_tensors

    assert any(name.endswith("weight") and "predictions" in name for name in tied_tensors(packed))


def test_both_factors_of_a_factorized_matrix_are_packed(make_lab, tiny_bert, logits_of, tokenizer, tmp_path):
    lab = make_lab()
    thin = Factorize(rank=8, budget=0).compress(tiny_bert(), lab)
    packed = low(bits=8).compress(thin, lab)
    for name, layer in adapter_for(thin).linears(thin).items():
        found = adapter_for(packed).linears(packed)[name]
        assert isinstance(layer, FactorizedLinear)
        assert isinstance(found, ProductLinear)
        for mine, its in ((found.first, layer.first), (found.second, layer.second)):
            half = mine.coding.cells.whole(mine.scale) / 2 * (1 + 1e-5)
            assert ((mine.dense() - its).abs() <= half).all()
    torch.testing.assert_close(logits_of(packed), logits_of(thin), rtol=0, atol=0.03)
    save(packed, tmp_path / "a", tokenizer=tokenizer)
    assert torch.equal(logits_of(load(tmp_path / "a").model), logits_of(packed))


def test_pruned_weights_stay_zero_in_symmetric_grids(make_lab, tiny_bert):
    lab = make_lab()
    pruned = Prune(sparsity=0.6, budget=0).compress(tiny_bert(), lab)
    for choice in ("four bits", "buckets", "ternary", "shifts"):
        packed = low(**{**CHOICES[choice], "targets": ROLES}).compress(pruned, lab)
        for name, linear in adapter_for(pruned).linears(pruned).items():
            layer = adapter_for(packed).linears(packed)[name]
            assert (layer.dense()[linear.weight == 0] == 0).all()
            assert (linear.weight == 0).any()


@pytest.mark.parametrize("before", [Quantize(), low(bits=4), low(bits=8, targets=("embedding",))])
def test_packing_twice_is_refused(make_lab, tiny_bert, before):
    lab = make_lab()
    model = before.compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match=r"no low-bit form"):
        low(bits=4).compress(model, lab)


def test_a_role_that_the_model_lacks_is_refused(make_lab, tiny_bert):
    with pytest.raises(ModelError, match="no matrix with the role 'hidden_gates'"):
        low(bits=4, targets=("hidden_gates",)).compress(tiny_bert(), make_lab())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"scheme": "weights", "grid": "ternary"}, "bits = 8: grid 'ternary' needs 2 to 2 bits"),
        ({"scheme": "weights", "grid": "terniary", "bits": 2}, "Did you mean 'ternary'"),
        ({"scheme": "weights", "grid": "ternary", "bits": 2, "range": "clip"}, "is for uniform grids"),
        ({"scheme": "weights", "role_bits": {"query": 1}}, "bits = 1: grid 'symmetric' needs 2 to 8"),
        ({"bits": 4}, "which need bits = 8"),
        ({"scheme": "static", "granularity": "tensor"}, "need granularity = 'row'"),
        ({"targets": ("embedding",)}, "give scheme 'weights' for tables"),
        ({"scheme": "weights", "allocation": "hessian"}, "needs either average_bits or size_share"),
        ({"scheme": "weights", "allocation__average_bits": 2.5}, "It is an argument of bit allocation 'hessian'"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, says):
    with pytest.raises(ValidationError, match=says):
        quantize(**arguments)


def test_keys_of_stored_artifacts_name_only_what_differs_from_the_defaults():
    assert Quantize().stated() == Quantize(scheme="dynamic", bits=8, targets=ROLES, grid="symmetric").stated() == {}
    assert Quantize(range={"name": "percentile", "percent": 99.9}, scheme="weights").stated() == {
        "scheme": "weights",
        "range": "percentile",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gobo", "hawq"])
def test_recipes_of_packed_weights_run_in_one_stage(name, make_lab, tiny_bert, logits_of):
    recipe = load_recipe(name)
    model = tiny_bert()
    for method in methods_of(recipe):
        model = method.compress(model, make_lab())
    assert torch.isfinite(logits_of(model)).all()
    assert saves_of(recipe.file) == ("bytes",)
