"""Q8BERT, Q-BERT, HAWQ and I-BERT as recipes: what is stored, where errors fall, and that training pays."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from bench.layers.input_rounding import InputRounding
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.methods.base.listening import alike
from bench.methods.quantize.integer import Integer
from bench.models.adapter import adapter_for
from bench.models.modules import copy_model
from bench.plan.recipes import load_recipe, methods_of
from bench.tasks.kinds.kind import KINDS


def recipe(name, **changes):
    (method,) = methods_of(load_recipe(name, {key.replace("__", "."): value for key, value in changes.items()}))
    return method


@torch.no_grad()
def loss(model, lab):
    """The mean loss over the training examples."""
    kind = KINDS.get(lab.task.kind)
    found = [(len(batch.rows), kind.loss(model(**batch.inputs), batch.targets)) for batch in alike(lab, examples=64)]
    return float(sum(count * each for count, each in found) / sum(count for count, _ in found))


@pytest.fixture(scope="module")
def learned():
    """The tensors of a model that has learned the words, found once."""
    return {}


@pytest.fixture
def tuned(learned, make_lab, tiny_bert):
    """A model that has learned the words, and its lab."""
    model = tiny_bert()
    lab = make_lab(model, examples=64)
    if not learned:
        lab.train(model, epochs=12, learning_rate=2e-3)
        learned.update({name: tensor.clone() for name, tensor in model.state_dict().items()})
    model.load_state_dict(learned)
    assert loss(model, lab) < 0.2
    return model, make_lab(model, examples=64)


def packed_layers(model):
    return [module for module in model.modules() if isinstance(module, (LowBitLinear, LowBitEmbedding))]


def test_q8bert_stores_99_percent_of_the_parameters_in_8_bits(make_lab):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=2000, hidden_size=256, num_hidden_layers=2, num_attention_heads=4, intermediate_size=1024,
        max_position_embeddings=64,
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    total = sum(parameter.numel() for parameter in model.parameters())
    packed = recipe("q8bert", examples=8, budget=0.0).compress(model, make_lab())
    layers = packed_layers(packed)
    assert {layer.coding.bits for layer in layers} == {8}
    assert {layer.coding.cells.shape for layer in layers} == {(1, 1)}
    assert sum(layer.coding.cells.rows * layer.coding.cells.columns for layer in layers) >= 0.99 * total
    stored = sum(tensor.numel() * tensor.element_size() for tensor in packed.state_dict().values())
    assert stored <= total * 4 / 3.9
    assert type(packed.bert.encoder.layer[0].output.LayerNorm) is torch.nn.LayerNorm


def test_q8berts_ranges_stay_in_evaluation(tuned):
    model, lab = tuned
    packed = recipe("q8bert").compress(model, lab)
    roundings = [module for module in packed.modules() if isinstance(module, InputRounding)]
    assert len(roundings) == 24 + 2  # the pooler and the head as well
    before = [(float(each.low), float(each.high)) for each in roundings]
    assert all(low < high for low, high in before)
    with torch.no_grad():
        packed.bert.embeddings.LayerNorm.weight.mul_(100)
        packed(input_ids=torch.arange(5, 25)[None])
    assert [(float(each.low), float(each.high)) for each in roundings] == before


@pytest.mark.parametrize("widths", [{}, {"bits": 2, "scheme__activation_bits": 4}])
def test_rounding_costs_loss_at_the_first_step_and_training_on_it_wins_more_back_than_training_before_it(widths, tuned):
    model, lab = tuned
    after = recipe("q8bert", **widths, budget=0.0)
    at_first = loss(after.compress(model, lab), lab)
    assert at_first >= loss(model, lab)
    aware = loss(recipe("q8bert", **widths, budget=2.0).compress(model, lab), lab)
    assert aware <= at_first
    if widths:  # 8 bits leave nothing to win
        further = copy_model(model)
        lab.train(further, epochs=2.0)
        assert aware <= loss(after.compress(further, lab), lab)


def test_q_berts_groups_have_few_numbers_between_their_own_ends_and_layers_get_2_or_3_bits(make_lab, tiny_bert):
    model = tiny_bert(layers=2)
    lab = make_lab(model, examples=40)
    packed = recipe("q-bert").compress(model, lab)
    for layer in packed_layers(packed):
        cells = layer.coding.cells
        assert cells.groups == min(128, cells.rows)
        for cell in cells.split(layer.dense()):
            assert len(torch.unique(cell)) <= 2**layer.coding.bits
    bits = [{layer.coding.bits for layer in packed_layers(block)} for block in adapter_for(packed).layers(packed)]
    assert sorted(next(iter(each)) for each in bits) == [2, 3]
    assert all(len(each) == 1 for each in bits)
    assert packed.bert.embeddings.word_embeddings.coding.bits == 8
    linears = [layer for layer in packed_layers(packed) if isinstance(layer, LowBitLinear)]
    assert {layer.activation_bits for layer in linears} == {8}


def test_a_groups_range_is_its_least_and_largest_weight_and_more_groups_leave_less_error():
    weights = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    weights *= torch.linspace(0.5, 2.0, 300)[:, None]
    errors = []
    for groups in (128, 12, 1):
        method = recipe("q-bert", granularity__count=groups)
        chosen = method.work(torch.nn.Module(), None).quantizer_of(_Anywhere)
        coded = chosen.code(weights, chosen.cells((300, 64), role="ffn_in", head_width=None), 2)
        for cell, low, scale in zip(
            coded.coding.cells.split(weights), coded.side["low"].flatten(), coded.side["scale"].flatten(), strict=True
        ):
            assert float(low) == float(cell.min())
            assert float(low + 3 * scale) == pytest.approx(float(cell.max()), rel=1e-6)
        errors.append(float((coded.values() - weights).square().mean()))
    assert errors == sorted(errors)
    assert errors[0] < 0.9 * errors[1] < 0.9 * errors[2]


class _Anywhere:
    role = "ffn_in"


@pytest.mark.slow
def test_hawq_trains_on_what_it_allocates(make_lab, tiny_bert):
    model = tiny_bert()
    lab = make_lab(model, examples=40)
    rounded, trained = (recipe("hawq", budget=budget).compress(model, lab) for budget in (0.0, 1.0))
    assert loss(trained, lab) < loss(rounded, lab)
    assert [each.coding.bits for each in packed_layers(trained)] == [
        each.coding.bits for each in packed_layers(rounded)
    ]


def test_i_bert_is_fine_tuned_on_rounded_numbers_before_it_runs_in_integers(tuned):
    model, lab = tuned
    assert recipe("i-bert") == Integer(budget=1.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after, aware = (recipe("i-bert", budget=budget, examples=32).compress(model, lab) for budget in (0.0, 2.0))
    assert loss(aware, lab) < loss(after, lab)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in aware.modules())
    assert Integer(examples=256).stated() == {}
