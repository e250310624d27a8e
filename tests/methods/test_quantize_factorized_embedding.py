"""A factorized word embedding that is packed: both matrices, all that shares them, alone and among other stages."""

from __future__ import annotations

import pytest
import torch
from made_quantizers import quantize
from models_for_factors import continued, language_model, translated, translator

from bench.artifacts.artifact import load, save
from bench.base.errors import MethodError
from bench.layers.composite import ProductEmbedding, ProductLinear
from bench.layers.factorized import FactorizedEmbedding
from bench.layers.int8 import Int8Linear
from bench.layers.low_bit import LowBitLinear
from bench.measures.storage.parameters import elements, embedding_parameters, stored_parameters
from bench.measures.storage.size import read_container
from bench.methods.base.method import ROLES
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize import aware as aware_training
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.models.adapter import adapter_for

RANK = 12
CHOICES = {
    "rows": {"bits": 4},
    "codebook": {"bits": 3, "grid": "codebook", "granularity": "tensor"},
    "words": {"bits": 2, "grid": "ternary", "granularity": "tensor", "embedding_granularity": "row"},
    "buckets": {"bits": 2, "grid": "affine", "granularity": "bucket", "granularity__size": 5},
}


def narrow(**changes):
    return Factorize(rank=RANK, targets="embedding", budget=0, **changes)


def low(**changes):
    return quantize(**{"scheme": "weights", "targets": ("embedding",), **changes})


def embedding_of(model):
    return adapter_for(model).word_embedding(model)


def unpacked(model, packed):
    """Put the numbers of the packed embedding, and of the softmax tied to it, into a float model in place."""
    table, softmax = embedding_of(packed), adapter_for(packed).output_projection(packed)
    with torch.no_grad():
        embedding_of(model).table.weight.copy_(table.table.dense())
        embedding_of(model).projection.weight.copy_(table.projection.dense())
        if isinstance(softmax, ProductLinear):
            adapter_for(model).output_projection(model).first.copy_(softmax.first.dense())


def coded_bytes(*layers):
    return sum(layer.coding.code_bytes + layer.coding.side_bytes for layer in layers)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_packed_model_is_the_float_model_of_the_same_numbers_and_survives_the_disk(
    choice, make_lab, tiny_bert, logits_of, tokenizer, tmp_path
):
    lab = make_lab()
    thin = narrow().compress(tiny_bert(), lab)
    packed = low(**CHOICES[choice]).compress(thin, lab)
    assert isinstance(embedding_of(packed), ProductEmbedding)
    assert isinstance(embedding_of(thin), FactorizedEmbedding)
    before = logits_of(thin)
    unpacked(thin, packed)
    assert torch.equal(logits_of(packed), logits_of(thin))
    assert not torch.equal(logits_of(packed), before)
    save(packed, tmp_path / "a", tokenizer=tokenizer)
    again = load(tmp_path / "a").model
    for name, tensor in packed.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert torch.equal(logits_of(again), logits_of(packed))


@pytest.mark.parametrize("choice", CHOICES)
def test_its_bytes_on_disk_are_those_of_the_packed_parts(choice, make_lab, tiny_bert, tokenizer, tmp_path):
    lab = make_lab()
    thin = narrow().compress(tiny_bert(), lab)
    packed = low(**CHOICES[choice]).compress(thin, lab)
    for name, model in (("thin", thin), ("packed", packed)):
        save(model, tmp_path / name, tokenizer=tokenizer)
    before, after = (sum(read_container(tmp_path / name).bytes_by_dtype.values()) for name in ("thin", "packed"))
    layer = embedding_of(packed)
    assert before - after == 4 * RANK * (100 + 32) - coded_bytes(layer.table, layer.projection)
    bits = CHOICES[choice]["bits"]
    assert layer.table.coding.code_bytes == 100 * -(-RANK * bits // 8)
    assert layer.projection.coding.code_bytes == 32 * -(-RANK * bits // 8)


def test_parameters_are_those_of_the_factors(make_lab, tiny_bert):
    lab = make_lab()
    thin = narrow().compress(tiny_bert(), lab)
    packed = low(bits=4).compress(thin, lab)
    assert elements(stored_parameters(packed)) == elements(stored_parameters(thin))
    assert elements(embedding_parameters(packed)) == elements(embedding_parameters(thin))


def test_the_bits_and_the_granularity_of_embeddings_are_those_of_both_matrices(make_lab, tiny_bert):
    lab = make_lab()
    thin = narrow().compress(tiny_bert(), lab)
    method = low(bits=8, role_bits={"embedding": 3}, granularity="tensor", embedding_granularity="row")
    layer = embedding_of(method.compress(thin, lab))
    assert [part.coding.bits for part in (layer.table, layer.projection)] == [3, 3]
    assert [part.coding.cells.shape for part in (layer.table, layer.projection)] == [(100, 1), (32, 1)]


@pytest.mark.parametrize(("make", "read"), [(translator, translated), (lambda: language_model(tied=True), continued)])
def test_a_tied_softmax_shares_the_packed_table_here_and_on_disk(make, read, make_lab, tokenizer, tmp_path):
    lab = make_lab()
    thin = Factorize(rank=8, targets="embedding", budget=0).compress(make(), lab)
    with pytest.raises(MethodError, match="tied to the embedding"):
        low(bits=4, targets=("softmax",)).compress(thin, lab)
    packed = low(bits=4, targets=("softmax", "embedding")).compress(thin, lab)
    unpacked(thin, packed)
    torch.testing.assert_close(read(packed), read(thin), rtol=0, atol=1e-5)
    save(packed, tmp_path / "a", tokenizer=tokenizer)
    again = load(tmp_path / "a").model
    assert torch.equal(read(again), read(packed))
    for model in (packed, again):
        softmax = adapter_for(model).output_projection(model)
        assert isinstance(softmax, ProductLinear)
        assert softmax.second.weight is embedding_of(model).table.weight
        assert not any(isinstance(module, FactorizedEmbedding) for module in model.modules())


@pytest.mark.parametrize("order", [("factorize", "dynamic", "weights"), ("factorize", "weights", "dynamic")])
def test_factorizing_then_integers_then_packing_the_embedding_go_together(
    order, make_lab, tiny_bert, logits_of, tokenizer, tmp_path
):
    stages = {"factorize": narrow(), "dynamic": Quantize(), "weights": low(bits=8)}
    lab, model, sizes = make_lab(), tiny_bert(), []
    for name in order:
        model = stages[name].compress(model, lab)
        save(model, tmp_path / name, tokenizer=tokenizer)
        sizes.append((tmp_path / name / "model.safetensors").stat().st_size)
        assert torch.equal(logits_of(load(tmp_path / name).model), logits_of(model))
    assert sizes[0] > sizes[1] > sizes[2]
    assert isinstance(embedding_of(model), ProductEmbedding)
    assert all(type(layer) is Int8Linear for layer in adapter_for(model).linears(model).values())


@pytest.mark.parametrize("first", ["share", "factorize"])
def test_sharing_goes_before_and_after(first, make_lab, tiny_bert, logits_of):
    stages = [Share(budget=0), narrow()] if first == "share" else [narrow(), Share(budget=0)]
    lab, model = make_lab(), tiny_bert()
    for stage in stages:
        model = stage.compress(model, lab)
    packed = low(bits=4, targets=(*ROLES, "embedding")).compress(model, lab)
    layers = adapter_for(packed).layers(packed)
    assert all(layer is layers[0] for layer in layers)
    assert isinstance(embedding_of(packed), ProductEmbedding)
    assert sum(isinstance(module, LowBitLinear) for module in packed.modules()) == 6 + 1
    assert torch.isfinite(logits_of(packed)).all()


def test_what_trained_on_rounded_numbers_is_what_is_packed(make_lab, tiny_bert, logits_of, monkeypatch):
    seen, real = {}, aware_training.trained

    def trained(work, sites, bits, inputs=None):
        aware = real(work, sites, bits, inputs)
        with aware.standing():
            seen["fake"] = logits_of(work.model)
        seen["latent"] = embedding_of(work.model).table.weight.detach().clone()
        return aware

    monkeypatch.setattr(aware_training, "trained", trained)
    lab = make_lab()
    thin = narrow().compress(tiny_bert(), lab)
    packed = low(bits=3, budget=1.0).compress(thin, lab)
    assert (logits_of(packed) - seen["fake"]).abs().max() <= 1e-5
    assert not torch.equal(seen["latent"], embedding_of(thin).table.weight)


def test_the_rest_of_a_model_holds_its_factorized_embedding_too(make_lab, tiny_bert, logits_of):
    lab = make_lab()
    packed = low(bits=8, targets=ROLES, scheme__rest=True).compress(narrow().compress(tiny_bert(), lab), lab)
    assert isinstance(embedding_of(packed), ProductEmbedding)
    assert torch.isfinite(logits_of(packed)).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bits": 4, "scheme__activation_bits": 8}, "is factorized, so its inner activations cannot be rounded"),
        ({"bits": 2, "grid": "ternary", "scheme__split": True}, "is factorized, but only whole matrices can be split"),
        (
            {
                "scheme": "operands", "targets": ROLES, "activation_range": "moving-average",
                "scheme__activation_bits": 8, "scheme__activation_grid": "interval", "scheme__activation_span": "fixed",
            },
            "is factorized, so its inner activations have no range",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_with_two_factors_is_refused(changes, says, make_lab, tiny_bert):
    lab = make_lab()
    thin = narrow().compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match=says):
        low(**changes).compress(thin, lab)


def test_packing_it_twice_is_refused(make_lab, tiny_bert):
    lab = make_lab()
    packed = low(bits=4).compress(narrow().compress(tiny_bert(), lab), lab)
    with pytest.raises(MethodError, match="ProductEmbedding, which has no low-bit form"):
        low(bits=4).compress(packed, lab)
