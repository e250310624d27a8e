"""Movement pruning, hard and soft: scores that train with the weights, masks made of them, and nothing left after."""

from __future__ import annotations

import math

import pytest
import torch
from made_pruning import prune
from pydantic import ValidationError

from bench.artifacts.artifact import load, save
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.gates import GateHook, StraightGates, TopScores
from bench.methods.prune.prune import Prune
from bench.methods.prune.run import Pruning
from bench.methods.prune.schedules import cubic
from bench.models.adapter import adapter_for
from bench.training.hooks import Hook


def plain(share=1.0):
    return lambda step, total: share


def sgd(scores):
    return torch.optim.SGD(scores, lr=1.0)


def movement(**options):
    return prune(**{"saliency": "movement", "schedule": "gradual", "scope": "layer", "sparsity": 0.5, **options})


def soft(**options):
    return prune(**{"saliency": "soft-movement", "schedule": "gradual", "budget": 1, **options})


def weights_of(model):
    return {name: module.weight for name, module in adapter_for(model).linears(model).items()}


class OneStep(Hook):
    """Keeps gradients towards the weights as the model saw them, and the weights, of the first step only."""

    def __init__(self, names):
        self.names = names
        self.before, self.seen, self.gradients = {}, {}, {}

    def _weights(self, state):
        return {name: dict(state.model.named_parameters())[name] for name in self.names}

    def before_step(self, state):
        if state.step == 0:
            self.seen = {name: weight.detach().clone() for name, weight in self._weights(state).items()}

    def after_backward(self, state):
        if state.step == 0:
            self.gradients = {name: weight.grad.clone() for name, weight in self._weights(state).items()}


class FixedMasks(StraightGates):
    """Masks that do not depend on the scores."""

    def __init__(self, sites, masks):
        super().__init__(sites, start=0.0)
        self.masks = masks

    def multipliers(self, step, total):
        return self.masks


@pytest.mark.parametrize(("unit", "options"), [("weight", {}), ("block", {"unit__size": (8, 16)}), ("head", {})])
def test_after_one_sgd_step_a_score_is_minus_the_rate_times_gradient_times_weight(make_lab, tiny_bert, unit, options):
    lab = make_lab(examples=8)
    pruning = Pruning(tiny_bert(layers=2), movement(unit=unit, **options), lab)
    draws = torch.Generator().manual_seed(0)
    masks = {site.name: torch.rand(site.count, generator=draws) > 0.3 for site in pruning.sites}
    before = pruning.snapshot()
    gates = FixedMasks(pruning.sites, masks)
    hook = GateHook(gates, rate=0.5, warmup=0.0, optimizer=sgd)
    acting = [(site, piece) for site in pruning.sites for piece in site.acting]
    watch = OneStep([piece.name for _, piece in acting])

    class Before(OneStep):
        """Sees gradients before the gates turn them into those of the weights."""

    first = Before(watch.names)
    lab.train(pruning.model, hooks=[first, hook, watch])
    rate = 0.5  # one step of one: no warm-up, and the decay starts at the peak
    for site, piece in acting:
        kept = piece.expand(masks[site.name])
        assert torch.equal(watch.seen[piece.name], before[piece.name] * kept)
        expected = -rate * piece.pool(first.gradients[piece.name] * before[piece.name], "sum")
        assert expected.abs().max() > 0
        torch.testing.assert_close(gates.scores[site.name].detach(), expected, rtol=1e-6, atol=0)
        assert torch.equal(watch.gradients[piece.name], first.gradients[piece.name] * kept)


def test_half_way_an_eighth_of_the_gap_is_left_and_the_ends_are_exact():
    curve = cubic(0.9, warmup=0.1, settle=0.3)
    assert curve(0, 100) == curve(9, 100) == 0
    assert curve(70, 100) == curve(99, 100) == 0.9
    assert 0.9 - curve(40, 100) == pytest.approx(0.9 * 0.125)


@pytest.mark.parametrize("sparsity", [0.3, 0.9])
def test_each_matrix_keeps_exactly_its_share_and_the_rest_is_positive_zero(make_lab, tiny_bert, sparsity):
    model = tiny_bert()
    pruned = movement(sparsity=sparsity, budget=2).compress(model, make_lab())
    for name, weight in weights_of(pruned).items():
        gone = weight == 0
        assert int(gone.sum()) == round(sparsity * weight.numel()), name
        assert (weight[gone].view(torch.int32) == 0).all()
        assert not torch.equal(weight[~gone], weights_of(model)[name][~gone])


def pruned_at(rate, make_lab, tiny_bert, state_of, **options):
    method = movement(sparsity=0.8, budget=3, saliency__rate=rate, **options)
    return state_of(method.compress(tiny_bert(layers=2), make_lab()))


def test_scores_from_zero_give_the_same_model_at_every_rate(make_lab, tiny_bert, state_of):
    """Adam's steps are in proportion to the rate, so a power of two scales every score without any rounding."""
    first, second = (pruned_at(rate, make_lab, tiny_bert, state_of) for rate in (2.0**-7, 2.0**-13))
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_scores_from_the_magnitudes_begin_with_magnitude_pruning_and_their_rate_matters(make_lab, tiny_bert, state_of):
    started = {"saliency__start": "magnitude"}
    slow, fast = (pruned_at(rate, make_lab, tiny_bert, state_of, **started) for rate in (2.0**-20, 2.0**-7))
    assert not all(torch.equal(tensor, fast[key]) for key, tensor in slow.items())
    pruning = Pruning(tiny_bert(layers=2), movement(**started), make_lab())
    gates = TopScores(pruning, plain(), pruning.saliency._starts(pruning))
    for site in pruning.sites:
        weight = site.pieces[0].parameter.detach().abs().flatten()
        assert torch.equal(gates.scores[site.name].detach(), weight)
        assert weight[gates.masks(0.5)[site.name]].min() >= weight[~gates.masks(0.5)[site.name]].max()


def test_a_score_that_starts_at_zero_has_the_stored_key_it_had():
    stated = movement(saliency__rate=0.01).stated()
    assert movement(saliency__rate=0.01, saliency__start="zero").stated() == stated
    assert stated["saliency"] == "movement"
    with pytest.raises(ValidationError, match="no argument of saliency 'soft-movement' named 'start'"):
        soft(saliency__start="magnitude")


def test_a_pruned_weight_can_come_back_at_its_value(make_lab, tiny_bert):
    pruning = Pruning(tiny_bert(layers=1), movement(), make_lab(examples=8))
    gates = TopScores(pruning, plain())
    hook = GateHook(gates, rate=1.0, warmup=0.0, optimizer=sgd)
    site = pruning.sites[0]
    weight = site.pieces[0].parameter
    first, value = gates.scores[site.name], weight.detach().clone()
    state = type("State", (), {"step": 0, "total_steps": 2})
    with torch.no_grad():
        first.copy_(torch.arange(len(first)))
    hook.before_step(state)
    assert weight.flatten()[0] == 0
    hook.lift()
    with torch.no_grad():
        first[0] = len(first)
    hook.before_step(state)
    assert weight.flatten()[0] == value.flatten()[0] != 0
    hook.lift()
    assert torch.equal(weight, value)


def test_gates_are_lifted_where_training_fails(make_lab, tiny_bert):
    lab = make_lab()
    pruning = Pruning(tiny_bert(layers=1), movement(budget=1), lab)
    before = pruning.snapshot()

    class Broken(Hook):
        """Fails while the gates stand."""

        def before_step(self, state):
            raise RuntimeError("stop")

    hook = GateHook(TopScores(pruning, plain()), rate=1.0, warmup=0.0)
    with pytest.raises(RuntimeError, match="stop"):
        lab.train(pruning.model, hooks=[hook, Broken()])
    assert not torch.equal(pruning.model.state_dict()[pruning.sites[0].name], before[pruning.sites[0].name])
    hook.lift()
    assert all(torch.equal(tensor, before[name]) for name, tensor in pruning.model.state_dict().items())


def test_with_scores_and_threshold_at_zero_everything_stays(make_lab, tiny_bert):
    pruning = Pruning(tiny_bert(layers=1), soft(saliency__penalty_weight=1), make_lab())
    assert all(mask.all() for mask in pruning.saliency.gates(pruning, plain(0.0)).multipliers(0, 1).values())


def test_a_unit_stays_where_its_sigmoid_is_above_the_threshold_and_a_few_always_do(make_lab, tiny_bert):
    pruning = Pruning(tiny_bert(layers=1), soft(saliency__threshold=0.1), make_lab())
    gates = pruning.saliency.gates(pruning, plain())
    with torch.no_grad():
        for score in gates.scores.values():
            score.copy_(torch.linspace(-6, 2, len(score)))
    for name, mask in gates.masks(0.1).items():
        assert torch.equal(mask, torch.sigmoid(gates.scores[name]) > 0.1)
    with torch.no_grad():
        for score in gates.scores.values():
            score.sub_(100)
    for mask in gates.masks(0.1).values():
        assert int(mask.sum()) == int(0.005 * len(mask)) + 1


def test_the_price_of_soft_scores_is_the_mean_over_matrices_and_rises_with_the_threshold(make_lab, tiny_bert):
    pruning = Pruning(tiny_bert(layers=1), soft(saliency__penalty_weight=400), make_lab())
    gates = pruning.saliency.gates(pruning, plain(0.25))
    gates.multipliers(0, 1)
    with torch.no_grad():
        next(iter(gates.scores.values())).fill_(100.0)
    count = len(gates.scores)
    assert float(gates.price().detach()) == pytest.approx(400 * 0.25 * (0.5 * (count - 1) + 1) / count)


def test_a_larger_penalty_leaves_fewer_weights_and_the_lab_is_told(make_lab, tiny_bert):
    told = []
    lab = make_lab()
    object.__setattr__(lab, "progress", lambda text, share: told.append(text))
    left = []
    for weight in (0.0, 3000.0):
        pruned = soft(saliency__penalty_weight=weight, budget=6, saliency__rate=0.5).compress(tiny_bert(layers=2), lab)
        weights = torch.cat([weight.flatten() for weight in weights_of(pruned).values()])
        left.append(float((weights != 0).float().mean()))
        assert any(text == f"{1 - left[-1]:.1%} of the units are removed" for text in told)
    assert 0 < left[1] < left[0] - 0.2


def test_soft_movement_with_a_sparsity_reaches_it_exactly(make_lab, tiny_bert):
    pruned = soft(saliency__penalty_weight=10, sparsity=0.75).compress(tiny_bert(layers=2), make_lab())
    weights = torch.cat([weight.flatten() for weight in weights_of(pruned).values()])
    assert int((weights == 0).sum()) == round(0.75 * len(weights))


def test_scores_stop_falling_once_the_sparsity_is_reached(make_lab, tiny_bert):
    pruning = Pruning(tiny_bert(layers=1), soft(saliency__penalty_weight=400, sparsity=0.25), make_lab())
    gates = pruning.saliency.gates(pruning, plain(1.0))
    for gone, priced in ((0, True), (1, False)):
        with torch.no_grad():
            for score in gates.scores.values():
                score.fill_(5.0)
                score[: gone * math.ceil(0.25 * len(score))] = -5.0
        gates.multipliers(0, 1)
        assert (gates.price() is not None) is priced


def test_blocks_of_one_weight_are_soft_movement_pruning(make_lab, tiny_bert):
    options = {"saliency__penalty_weight": 3000.0, "saliency__rate": 0.5, "budget": 4}
    single = soft(unit="weight", **options).compress(tiny_bert(layers=2), make_lab())
    blocks = soft(unit="block", unit__size=(1, 1), **options).compress(tiny_bert(layers=2), make_lab())
    assert all(torch.equal(one, blocks.state_dict()[name]) for name, one in single.state_dict().items())
    assert any((weight == 0).any() for weight in weights_of(single).values())


def test_hybrid_masks_blocks_in_attention_and_neurons_with_their_biases(make_lab, tiny_bert):
    method = soft(
        unit="hybrid",
        unit__size=(8, 8),
        biases=True,
        sparsity=0.6,
        scope="layer",
        saliency__penalty_weight=10,
        saliency__rate=0.3,
    )
    pruned = method.compress(tiny_bert(layers=2), make_lab())
    layer = pruned.bert.encoder.layer[0]
    for linear in (layer.attention.self.query, layer.attention.output.dense):
        gone = (linear.weight == 0).view(4, 8, 4, 8).transpose(1, 2).reshape(16, 64)
        assert set(gone.sum(1).tolist()) == {0, 64}
        assert int(gone.all(1).sum()) == 10
        assert torch.equal(linear.bias == 0, (linear.weight == 0).all(1))
    rows = (layer.intermediate.dense.weight == 0).all(1)
    assert int(rows.sum()) == round(0.6 * 64)
    assert torch.equal(rows, (layer.output.dense.weight == 0).all(0))
    assert torch.equal(rows, layer.intermediate.dense.bias == 0)


@pytest.mark.parametrize("unit", ["weight", "head", "neuron", "row"])
@pytest.mark.parametrize("start", ["movement", "soft-movement", "hard-concrete"])
def test_nothing_of_the_learning_is_left_in_the_artifact(make_lab, tiny_bert, tokenizer, tmp_path, start, unit):
    model = tiny_bert(layers=2)
    price = {} if start == "movement" else {"saliency__penalty_weight": 1.0}
    method = prune(saliency=start, schedule="gradual", unit=unit, sparsity=0.5, budget=1, **price)
    pruned = method.compress(model, make_lab())
    assert [name for name, _ in pruned.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert [type(module) for module in pruned.modules()] == [type(module) for module in model.modules()]
    assert all(parameter.requires_grad and parameter.grad is None for parameter in pruned.parameters())
    save(pruned, tmp_path / "artifact", tokenizer=tokenizer)
    loaded = load(tmp_path / "artifact").model.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in pruned.state_dict().items())
    assert any((tensor == 0).float().mean() > 0.3 for tensor in loaded.values())


def test_shared_layers_have_one_score_and_stay_shared(make_lab):
    from transformers import AlbertConfig, AlbertForSequenceClassification

    config = AlbertConfig(
        vocab_size=100,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        albert = AlbertForSequenceClassification(config).eval()
    pruned = movement(budget=1).compress(albert, make_lab(reference=albert))
    assert len(weights_of(pruned)) == 6
    for weight in weights_of(pruned).values():
        assert int((weight == 0).sum()) == weight.numel() // 2


def test_both_factors_of_a_factorized_layer_are_learned(make_lab, tiny_bert):
    lab = make_lab()
    thin = Factorize(rank=8, budget=0).compress(tiny_bert(layers=2), lab)
    pruned = movement(budget=1).compress(thin, lab)
    factors = [tensor for name, tensor in pruned.named_parameters() if name.rpartition(".")[2] in ("first", "second")]
    assert factors
    assert all(int((factor == 0).sum()) == round(0.5 * factor.numel()) for factor in factors)


def test_frozen_embeddings_stay_bit_equal_and_train_again_afterwards(make_lab, tiny_bert):
    model = tiny_bert(layers=2)
    pruned = movement(budget=1, freeze_embeddings=True).compress(model, make_lab())
    before, after = model.bert.embeddings, pruned.bert.embeddings
    assert torch.equal(before.word_embeddings.weight, after.word_embeddings.weight)
    assert after.word_embeddings.weight.requires_grad
    assert not torch.equal(before.LayerNorm.weight, after.LayerNorm.weight)


def test_arguments_that_do_not_go_with_learning_are_refused():
    with pytest.raises(ValidationError, match="needs schedule 'gradual'"):
        Prune(saliency="movement", sparsity=0.5)
    with pytest.raises(ValidationError, match="budget of 0 trains nothing"):
        movement(budget=0)
    with pytest.raises(ValidationError, match="does not determine how much is removed"):
        Prune(saliency="movement", schedule="gradual")
    with pytest.raises(ValidationError, match="does not determine how much is removed"):
        Prune()
    with pytest.raises(ValidationError, match="must reach below 0 and above 1"):
        prune(saliency="hard-concrete", schedule="gradual", saliency__stretch=(0.0, 1.0))
