"""FullyQT: everything that is multiplied or divided went through a quantizer, on every Transformer with an adapter."""

from __future__ import annotations

import copy

import pytest
import torch
from families import FAMILIES
from made_pruning import lab_of, made
from made_quantizers import make_quantizer, quantize
from pydantic import ValidationError
from torch import nn

from bench.artifacts.artifact import load, save, size_bytes
from bench.base.errors import MethodError
from bench.layers.input_rounding import InputRounding
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.rounded import OPERANDS, PARTS, AttentionRounding, RoundedNorm
from bench.measures.computation.trace import trace
from bench.methods.base.method import METHODS
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.operands import OperandTraining, every_site, operand_training
from bench.methods.quantize.products import executed_products
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for
from bench.models.modules import copy_model, replace_module
from bench.plan.recipes import load_recipe
from bench.tasks.batching import collate
from bench.tasks.greedy import Greedy

# Two whose attention multiplies by itself, not through transformers' interface, and one whose norms have no bias; all
# are refused, see test_encoders_methods.
REFUSED = ("mpnet", "deberta-v2", "modernbert")
TRANSFORMERS = ("marian", "encoder-decoder", *(family for family in FAMILIES if family not in REFUSED))
CHOICES = {
    "scheme": "operands",
    "grid": "interval",
    "scheme__activation_bits": 8,
    "scheme__activation_grid": "interval",
    "scheme__activation_span": "fixed",
    "activation_range": "moving-average",
    "activation_range__momentum": 0.9,
}


def fully(**changes):
    return quantize(**{**CHOICES, **changes})


def quantized(name, make_lab, *, model=None, **changes):
    model = made(name) if model is None else model
    return fully(**changes).compress(model, lab_of(name, make_lab, model=model))


def inputs_of(name, make_lab):
    """Two rows, the second one padded."""
    lab = lab_of(name, make_lab)
    return collate([lab.features[0], lab.features[1]], pad_id=0).inputs


def logits(model, inputs):
    with torch.no_grad():
        return model.eval()(**inputs).logits


def unrounded(model, run):
    return [product for product in executed_products(model, run) if not all(product.rounded)]


@pytest.fixture(scope="module")
def finished():
    """The calibrated model of each architecture, made once; copied before it is changed."""
    return {}


@pytest.fixture
def model_of(finished, make_lab):
    def get(name="marian"):
        if name not in finished:
            finished[name] = quantized(name, make_lab)
        return finished[name]

    return get


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_both_sides_of_every_product_and_division_went_through_a_quantizer(name, make_lab, model_of):
    model, inputs = model_of(name), inputs_of(name, make_lab)
    products = executed_products(model, lambda: logits(model, inputs))
    assert [product for product in products if not all(product.rounded)] == []
    attentions = [module for module in model.modules() if isinstance(module, AttentionRounding)]
    norms = [module for module in model.modules() if isinstance(module, RoundedNorm)]
    by_kind = {kind: [p for p in products if p.operator == kind] for kind in ("bmm", "div")}
    runs = len([p for p in by_kind["div"] if p.module.endswith(".rounding")])
    assert len(by_kind["bmm"]) == 2 * runs >= 2 * len(attentions) > 0
    assert len(by_kind["div"]) - runs >= len(norms) > 0
    linears = [module for module in model.modules() if isinstance(module, LowBitLinear)]
    assert len([p for p in products if p.operator in ("addmm", "mm")]) >= len(linears) > 0
    # The float model has none that did.
    plain = made(name)
    assert not any(any(product.rounded) for product in executed_products(plain, lambda: logits(plain, inputs)))


def test_so_they_did_in_every_step_of_writing_a_translation(make_lab, model_of):
    model, inputs = model_of(), inputs_of("marian", make_lab)
    start = {**inputs, "decoder_input_ids": inputs["decoder_input_ids"][:, :1]}

    def three_steps():
        greedy = Greedy(model, start, pad_id=0)
        for _ in range(3):
            greedy.write(greedy.step()[0])

    products = executed_products(model, three_steps)
    # The encoder's attentions run once, the decoder's two kinds in every step, with keys and values out of the cache.
    encoder, decoder = (adapter_for(model).depth(model, stack) for stack in ("encoder", "decoder"))
    assert len([product for product in products if product.operator == "bmm"]) == 2 * (encoder + 3 * 2 * decoder)
    assert all(all(product.rounded) for product in products)


def _float_linear(model, name):
    layer = model.get_submodule(name)
    dense = nn.Linear(layer.in_features, layer.out_features)
    dense.weight.data, dense.bias.data = layer.dense(), layer.bias.clone()
    replace_module(model, name, nn.Sequential(layer.inputs, dense))


def _loose_inputs(model, name):
    model.get_submodule(name).inputs = None


def _nothing(model, name):
    replace_module(model, name, nn.Identity())


ATTENTION = "model.decoder.layers.1.encoder_attn"
LEFT_OUT = {
    "the weights of a map": (_float_linear, f"{ATTENTION}.q_proj", "addmm", (True, False)),
    "the inputs of a map": (_loose_inputs, "model.encoder.layers.0.fc2", "addmm", (False, True)),
    "the inputs of the softmax": (_loose_inputs, "lm_head", "mm", (False, True)),
    "query": (_nothing, f"{ATTENTION}.rounding.query", "bmm", (False, True)),
    "key": (_nothing, f"{ATTENTION}.rounding.key", "bmm", (True, False)),
    "value": (_nothing, f"{ATTENTION}.rounding.value", "bmm", (True, False)),
    "probability": (_nothing, f"{ATTENTION}.rounding.probability", "bmm", (False, True)),
    "numerator": (_nothing, f"{ATTENTION}.rounding.numerator", "div", (False, True)),
    "denominator": (_nothing, f"{ATTENTION}.rounding.denominator", "div", (True, False)),
    "a norm's numerator": (_nothing, "model.encoder.layers.1.final_layer_norm.numerator", "div", (False, True)),
    "a norm's denominator": (_nothing, "model.encoder.layers.1.final_layer_norm.denominator", "div", (True, False)),
}


@pytest.mark.parametrize("site", LEFT_OUT)
def test_the_walk_finds_the_one_site_that_is_left_out(site, make_lab, model_of):
    leave_out, name, operator, rounded = LEFT_OUT[site]
    model, inputs = copy_model(model_of()), inputs_of("marian", make_lab)
    leave_out(model, name)
    (found,) = unrounded(model, lambda: logits(model, inputs))
    assert (found.operator, found.rounded) == (operator, rounded)
    assert name.startswith(found.module) or found.module.startswith(name)


def test_every_rounding_is_executed(make_lab, model_of):
    """Nothing that the walk does not ask about is left aside: quotients and gammas are rounded as well."""
    model, inputs = model_of(), inputs_of("marian", make_lab)
    called = set()
    handles = [
        module.register_forward_hook(lambda module, *_: called.add(module))
        for module in model.modules()
        if isinstance(module, InputRounding) and module.span == "fixed"
    ]
    logits(model, inputs)
    for handle in handles:
        handle.remove()
    attentions = [module for module in model.modules() if isinstance(module, AttentionRounding)]
    norms = [module for module in model.modules() if isinstance(module, RoundedNorm)]
    linears = [module for module in model.modules() if isinstance(module, LowBitLinear)]
    assert len(called) == len(handles) == len(OPERANDS) * len(attentions) + len(PARTS) * len(norms) + len(linears)
    for norm in norms:
        low, step = norm.weight.min(), (norm.weight.max() - norm.weight.min()) / 255
        codes = (norm.weight - low) / step
        torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)


def test_numbers_are_rounded_by_the_papers_formula_and_both_ends_are_exact():
    values = torch.randn(40, 7, generator=torch.Generator().manual_seed(0))
    low, high = float(values.min()), float(values.max())
    found = InputRounding.fixed(low, high, bits=4, grid="interval")(values)
    step = (high - low) / 15
    torch.testing.assert_close(found, ((values - low) / step).round() * step + low)
    assert len(found.unique()) <= 16
    assert found.min() == low
    torch.testing.assert_close(float(found.max()), high)


def test_the_gradient_passes_straight_through_and_stops_where_numbers_are_clipped():
    values = torch.tensor([-3.0, -0.9, 0.2, 0.97, 1.4], requires_grad=True)
    InputRounding.fixed(-1.0, 1.0, grid="interval")(values).backward(torch.arange(1.0, 6.0))
    assert values.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 0.0]


def test_a_range_a_row_errs_at_most_as_much_as_one_for_the_matrix(make_lab, model_of):
    shared = {"grid": "interval", "range": "min-max"}
    for name, dense in adapter_for(made("marian")).linears(made("marian")).items():
        errors, steps = {}, {}
        for granularity in ("row", "tensor"):
            how = make_quantizer(granularity=granularity, **shared)
            cells = how.cells(tuple(dense.weight.shape), role="query", head_width=None)
            coded = how.code(dense.weight, cells, 8)
            errors[granularity] = (coded.values() - dense.weight).square().sum()
            steps[granularity] = coded.side["scale"]
        assert errors["row"] <= errors["tensor"]
        assert (steps["row"] <= steps["tensor"]).all()
        # The model's own are those of a row.
        assert torch.equal(model_of().get_submodule(name).scale, steps["row"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "budget"), [("marian", 1.0), ("marian", 0.0), ("bert", 1.0)])
def test_the_packed_model_gives_what_the_trained_one_gave_in_evaluation(name, budget, make_lab):
    method, model = fully(budget=budget, scheme__delay=0.3), made(name)
    lab = lab_of(name, make_lab, model=model)
    work = method.work(copy_model(model), lab)
    sites = every_site(work)
    aware = operand_training(work, sites, {site.name: 8 for site in sites}, activation_bits=8, delay=0.3)
    inputs = inputs_of(name, make_lab)
    work.model.eval()
    with aware.standing():
        fake = logits(work.model, inputs)
    packed = logits(method.compress(model, lab), inputs)
    torch.testing.assert_close(packed, fake, rtol=0, atol=1e-5)
    assert not torch.allclose(packed, logits(model, inputs), atol=1e-4)


def test_ranges_move_in_training_and_stay_in_evaluation(make_lab):
    model = quantized("marian", make_lab, budget=1.0)
    still = quantized("marian", make_lab)
    ends = {key: value.clone() for key, value in model.state_dict().items() if key.endswith((".low", ".high"))}
    assert any(not torch.equal(value, still.state_dict()[key]) for key, value in ends.items())
    for norm in [module for module in model.modules() if isinstance(module, RoundedNorm)]:
        norm(torch.randn(3, 32) * 1000)
    logits(model.train(), inputs_of("marian", make_lab))
    assert all(torch.equal(model.state_dict()[key], value) for key, value in ends.items())


def test_nothing_is_rounded_before_the_delay_is_over_and_ranges_follow_from_the_start(make_lab, monkeypatch):
    seen = []
    before = OperandTraining.before_step

    def spy(self, state):
        before(self, state)
        weight = next(iter(self._of))
        rounds = {each.rounds for each in self.operands.inputs.values()}
        follows = {each.follows for each in self.operands.inputs.values()}
        seen.append((rounds, follows, len(weight.data[0].unique()) < weight.shape[1]))

    monkeypatch.setattr(OperandTraining, "before_step", spy)
    quantized("marian", make_lab, budget=2.0, scheme__delay=0.5, bits=2)
    assert seen == [({False}, {True}, False)] * 3 + [({True}, {True}, True)] * 3


def test_pruned_weights_stay_zero_through_training_and_biases_stay_floats(make_lab):
    model = made("marian")
    linears = adapter_for(model).linears(model)
    masks = {}
    with torch.no_grad():
        for name, linear in linears.items():
            masks[name] = torch.rand(linear.weight.shape, generator=torch.Generator().manual_seed(1)) < 0.5
            linear.weight.masked_fill_(masks[name], 0.0)
    for budget in (0.0, 1.0):
        packed = quantized("marian", make_lab, model=model, budget=budget)
        for name, mask in masks.items():
            values = packed.get_submodule(name).dense()
            assert (values[mask] == 0).all()
            assert (values[~mask] != 0).float().mean() > 0.95
            assert packed.get_submodule(name).bias.dtype == torch.float32
            if not budget:
                assert torch.equal(packed.get_submodule(name).bias, linears[name].bias)
    # Whole rows of zeros are the padding's.
    assert packed.model.shared.coding.form == "interval"


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_it_survives_the_disk_bit_for_bit_and_is_smaller(name, make_lab, model_of, tmp_path, tokenizer):
    model, inputs = model_of(name), inputs_of(name, make_lab)
    save(model, tmp_path / "small", tokenizer=tokenizer)
    save(made(name), tmp_path / "float", tokenizer=tokenizer)
    again = load(tmp_path / "small").model
    assert torch.equal(logits(again, inputs), logits(model, inputs))
    stored = (tmp_path / "small" / "model.safetensors").stat().st_size
    assert stored < 0.6 * (tmp_path / "float" / "model.safetensors").stat().st_size
    assert size_bytes(tmp_path / "small") > stored
    assert unrounded(again, lambda: logits(again, inputs)) == []


@pytest.mark.parametrize("name", ["marian", "encoder-decoder"])
def test_writing_with_a_cache_gives_what_writing_without_one_gives(name, make_lab, model_of):
    model, inputs = copy.deepcopy(model_of(name)), inputs_of(name, make_lab)
    outputs = model(**inputs, use_cache=True)
    whole = outputs.logits
    cache, parts = None, []
    for place in range(inputs["decoder_input_ids"].shape[1]):
        each = {**inputs, "decoder_input_ids": inputs["decoder_input_ids"][:, place : place + 1]}
        step = model(**each, past_key_values=cache, use_cache=True)
        cache = step.past_key_values
        parts.append(step.logits)
    # Sums in another order move single numbers by one step of 8 bits.
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=0.05)


def test_multiply_adds_are_those_of_the_float_model_and_all_are_counted(make_lab, model_of):
    inputs = inputs_of("marian", make_lab)
    found, plain = trace(model_of(), inputs), trace(made("marian"), inputs)
    assert found.coverage == 1.0
    assert found.macs == plain.macs > 0


def test_every_matrix_is_packed_the_head_and_its_tables_with_them(model_of):
    for name in TRANSFORMERS:
        model = model_of(name)
        kinds = [type(module) for module in model.modules()]
        assert not {nn.Linear, nn.Embedding, nn.LayerNorm} & set(kinds)
        assert LowBitEmbedding in kinds


def test_the_given_model_is_left_as_it_was(make_lab):
    model = made("marian")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    quantized("marian", make_lab, model=model, budget=1.0)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.config._attn_implementation == "sdpa"


def test_what_has_no_reachable_products_is_refused(make_lab):
    with pytest.raises(MethodError, match="has an input that was not quantized"):
        quantized("bench-lstm-seq2seq", make_lab)
    model = made("bert")
    lab = lab_of("bert", make_lab, model=model)
    with pytest.raises(MethodError, match="factorized"):
        fully().compress(Factorize(rank=4, budget=0).compress(model, lab), lab)
    with pytest.raises(MethodError, match="no low-bit form"):
        fully().compress(fully().compress(model, lab), lab)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"targets": ("query",)}, "leave targets out"),
        ({"scheme__rest": True}, "It is an argument of quantization scheme 'weights'"),
        ({"scheme__activation_bits": None}, "give activation_bits"),
        ({"scheme__activation_span": "call"}, "give activation_bits"),
        ({"activation_range": "min-max"}, "It is an argument of range 'moving-average'"),
    ],
)
def test_other_choices_are_refused_before_anything_runs(changes, match):
    with pytest.raises(ValidationError, match=match):
        fully(**changes)


def test_the_recipe_claims_bytes_and_no_time():
    (stage,) = load_recipe("fullyqt").stages
    method = METHODS.get(stage.method)(**stage.arguments)
    assert method == fully(budget=method.budget, scheme__delay=method.scheme.delay)
    assert method.saving() == {"bytes"}
    assert method.budget > method.scheme.delay > 0


def test_training_that_fails_leaves_no_rounded_weights_in_front(make_lab, monkeypatch):
    model = made("marian")
    lab = lab_of("marian", make_lab, model=model)
    work = fully(budget=1.0).work(copy_model(model), lab)
    sites = every_site(work)
    monkeypatch.setattr(Quantize, "tune", lambda self, *_, hooks, **__: hooks[0]._stand() or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        operand_training(work, sites, {site.name: 8 for site in sites}, activation_bits=8, delay=0.0)
    after = adapter_for(work.model).linears(work.model)
    assert all(torch.equal(after[key].weight, dense.weight) for key, dense in adapter_for(model).linears(model).items())
