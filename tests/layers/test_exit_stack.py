"""An exit stack against a loop over single rows with the logits of every exit, and the rules against plain numbers."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from families import make, outputs
from torch import nn

from bench.base.errors import ModelError
from bench.layers.adaptive import AdaptiveStack
from bench.layers.exit_rules import ConfidenceRule, EntropyRule, NeverRule, PatienceRule, VoteRule
from bench.layers.exits import ExitHeads, ExitOutput, ExitStack, exits_of
from bench.measures.computation.depth import DynamicDepth, dynamic_depth
from bench.models.adapter import adapter_for
from bench.models.exits import cut_at_exit, grow_exits

ROWS, LENGTH = 24, 9
PATIENCES = [PatienceRule(patience, 0.1) for patience in (1, 2, 3, 5, 9)]
RULES = (
    *PATIENCES,
    *(EntropyRule(threshold) for threshold in (0.3, 0.8, 1.0)),
    *(ConfidenceRule(threshold) for threshold in (0.4, 0.6, 0.9)),
    *(VoteRule(votes) for votes in (1, 2, 3, 4)),
)


def batch(seed=0):
    """Ids and mask of rows of different lengths, padded to the right."""
    draws = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 40, (ROWS, LENGTH), generator=draws)
    lengths = torch.randint(3, LENGTH + 1, (ROWS, 1), generator=draws)
    mask = (torch.arange(LENGTH) < lengths).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


def labels_of(model):
    return model.config.num_labels


def with_exits(family="bert", *, layers=6, shared=False, rule=None, **settings):
    """A model whose exits disagree often enough for each rule to have work."""
    model = make(
        family, num_hidden_layers=layers, **({"n_layers": layers} if family == "distilbert" else {}), **settings
    )
    exits = grow_exits(model, shared=shared, seed=1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):  # else all rows have nearly one state
                module.weight.fill_(1.0)
        for number in range(1, layers):
            alike, apart = (
                torch.randn(labels_of(model), 32, generator=torch.Generator().manual_seed(s)) for s in (7, number)
            )
            exits.after(number).out.weight.copy_(0.3 * alike + 0.15 * apart)
    exits.rule = NeverRule() if rule is None else rule
    return model.eval()


def every_logit(model, inputs):
    """The logits of all exits [layers, rows, classes], each by a model that is cut there."""
    found = []
    for layer in range(1, adapter_for(model).depth(model) + 1):
        static = copy.deepcopy(model)
        cut_at_exit(static, layer)
        with torch.inference_mode():
            found.append(static.eval()(**inputs).logits)
    return torch.stack(found)


def left_at(rule, logits):
    """Layer and answer of one row by its logits [layers, classes], in plain numbers."""
    depth = len(logits)
    classes = logits.argmax(-1).tolist()
    for layer in range(1, depth):
        shares = torch.softmax(logits[layer - 1].double(), -1).tolist()
        if isinstance(rule, EntropyRule):
            ends = -sum(p * math.log(p) for p in shares) < rule.threshold
        elif isinstance(rule, ConfidenceRule):
            ends = max(shares) > rule.threshold
        elif isinstance(rule, PatienceRule):
            counter = 0
            for before, now in itertools.pairwise(classes[:layer]):
                counter = counter + 1 if before == now else 0
            ends = counter >= rule.patience
        else:
            ends = max(classes[:layer].count(each) for each in classes[:layer]) >= rule.votes
        if ends:
            return layer
    return depth


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_every_row_leaves_where_the_logits_of_all_exits_say_and_with_that_answer(rule):
    model, inputs = with_exits(rule=rule), batch()
    logits = every_logit(model, inputs)
    expected = [left_at(rule, logits[:, row]) for row in range(ROWS)]
    with torch.inference_mode():
        given = model(**inputs).logits
    assert dynamic_depth(model).executed_layers().tolist() == expected
    if not isinstance(rule, VoteRule):
        wanted = torch.stack([logits[layer - 1, row] for row, layer in enumerate(expected)])
        torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-4)


def test_the_rules_meet_rows_that_leave_early_late_and_in_between():
    spread = set()
    for rule in RULES:
        model = with_exits(rule=rule)
        with torch.inference_mode():
            model(**batch())
        spread |= set(dynamic_depth(model).executed_layers().tolist())
    assert spread == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_row_leaves_at_the_same_exit_alone_and_beside_others(rule, family):
    model, inputs = with_exits(family, rule=rule), batch(2)
    with torch.inference_mode():
        together = model(**inputs).logits
        depths = dynamic_depth(model).executed_layers().tolist()
        for row in range(ROWS):
            alone = model(**{name: values[row : row + 1] for name, values in inputs.items()}).logits
            assert dynamic_depth(model).executed_layers().tolist() == [depths[row]]
            torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)


def test_the_following_layers_run_on_the_rows_that_are_left_and_on_no_other():
    model = with_exits(rule=ConfidenceRule(0.6))
    ran = []
    for layer in adapter_for(model).layers(model):
        layer.register_forward_hook(lambda module, given, result: ran.append(len(given[0])))
    with torch.inference_mode():
        model(**batch())
    depths = dynamic_depth(model).executed_layers()
    assert ran == [int((depths >= layer).sum()) for layer in range(1, int(depths.max()) + 1)]
    assert ran[0] == ROWS > ran[-1] > 0


def test_no_layer_runs_after_the_last_row_has_left_and_the_head_runs_on_no_row():
    model = with_exits(rule=EntropyRule(100.0))
    ran, own = [], []
    for layer in adapter_for(model).layers(model):
        layer.register_forward_hook(lambda *_: ran.append(1))
    model.classifier.own.register_forward_hook(lambda *_: own.append(1))
    with torch.inference_mode():
        given = model(**batch()).logits
    assert (len(ran), own, given.shape) == (1, [], (ROWS, 3))


@pytest.mark.parametrize("rule", [EntropyRule(100.0), ConfidenceRule(0.0), VoteRule(1)], ids=repr)
def test_the_easiest_threshold_is_the_static_first_layer(rule):
    model, inputs = with_exits(rule=rule), batch()
    first = every_logit(model, inputs)[0]
    with torch.inference_mode():
        given = model(**inputs).logits
    assert set(dynamic_depth(model).executed_layers().tolist()) == {1}
    if isinstance(rule, VoteRule):
        torch.testing.assert_close(given, first.log_softmax(-1))
    else:
        assert torch.equal(given, first)


@pytest.mark.parametrize("rule", [EntropyRule(0.0), ConfidenceRule(1.0), PatienceRule(6, 0.1), NeverRule()], ids=repr)
def test_the_hardest_threshold_is_the_full_model_bit_for_bit(rule):
    plain = make("bert", num_hidden_layers=6)
    model = copy.deepcopy(plain)
    grow_exits(model, shared=False, seed=1).rule = rule
    assert all(torch.equal(one, other) for one, other in zip(outputs(model), outputs(plain), strict=True))
    (stack,) = (module for module in model.modules() if isinstance(module, AdaptiveStack))
    assert stack.executed_layers().tolist() == [6, 6]
    assert (dynamic_depth(model) is None) == isinstance(rule, NeverRule)


def test_a_patience_of_the_depth_or_more_runs_every_layer_and_one_of_1_leaves_at_the_first_agreement():
    inputs = batch()
    for patience in (6, 7, 100):
        model = with_exits(rule=PatienceRule(patience, 0.1))
        with torch.inference_mode():
            model(**inputs)
        assert set(dynamic_depth(model).executed_layers().tolist()) == {6}
    model = with_exits(rule=PatienceRule(1, 0.1))
    classes = every_logit(model, inputs).argmax(-1)
    first = [
        next((layer for layer in range(2, 7) if classes[layer - 1, row] == classes[layer - 2, row]), 6)
        for row in range(ROWS)
    ]
    with torch.inference_mode():
        model(**inputs)
    assert dynamic_depth(model).executed_layers().tolist() == first
    assert min(first) == 2


def test_unanimous_early_votes_leave_first():
    said = [torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])]
    said.append(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    rule = VoteRule(2)
    assert rule.leaves(said[:1]).tolist() == [False, False]
    assert rule.leaves(said[:2]).tolist() == [True, False]
    assert rule.leaves(said[:3]).tolist() == [True, True]


def test_the_answer_of_a_vote_is_the_class_with_most_votes_and_ties_go_to_the_latest_exit():
    said = [torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.9]])]
    rule = VoteRule(9)
    assert rule.answer(said).argmax(-1).tolist() == [1]
    expected = (said[1].softmax(-1) + said[2].softmax(-1)) / 2
    torch.testing.assert_close(rule.answer(said).exp(), expected)
    assert rule.answer(said[:2]).argmax(-1).tolist() == [1]
    assert rule.answer([said[1], said[0]]).argmax(-1).tolist() == [0]


def test_patience_of_a_score_counts_differences_below_the_tolerance():
    said = [torch.tensor([[value], [value]]) for value in (0.0, 0.05, 0.08)]
    said[2] = torch.tensor([[0.08], [0.5]])
    assert PatienceRule(2, 0.1).leaves(said).tolist() == [True, False]
    assert PatienceRule(1, 0.1).leaves(said[:2]).tolist() == [True, True]
    assert PatienceRule(2, 0.05).leaves(said).tolist() == [False, False]


def test_regression_leaves_by_patience():
    model = with_exits(labels=1, rule=PatienceRule(1, 0.5))
    inputs = batch()
    scores = every_logit(model, inputs)[..., 0]
    expected = [
        next((n for n in range(2, 6) if abs(scores[n - 1, row] - scores[n - 2, row]) < 0.5), 6) for row in range(ROWS)
    ]
    with torch.inference_mode():
        given = model(**inputs).logits
    assert dynamic_depth(model).executed_layers().tolist() == expected
    assert len(set(expected)) > 2
    wanted = torch.stack([scores[layer - 1, row] for row, layer in enumerate(expected)])
    torch.testing.assert_close(given[:, 0], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
@pytest.mark.parametrize("shared", [False, True])
def test_forced_to_leave_after_a_layer_a_model_is_the_static_one_of_that_layer(family, shared):
    model, inputs = with_exits(family, layers=4, shared=shared, rule=PatienceRule(2, 0.1)), batch()
    logits = every_logit(model, inputs)
    dynamic = dynamic_depth(model)
    for layer in (1, 2, 3, 4):
        with dynamic.leaving_after(layer), torch.inference_mode():
            assert torch.equal(model(**inputs).logits, logits[layer - 1])
        assert set(dynamic.executed_layers().tolist()) == {layer}


def test_in_training_every_exit_speaks_for_every_row_and_no_row_leaves():
    model = with_exits(rule=EntropyRule(100.0)).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    exits = exits_of(model)
    for number in range(1, 6):
        exits.after(number).dropout = 0.0
    own = model(**batch()).logits
    said = torch.stack([*exits.taught(), own])
    torch.testing.assert_close(said, every_logit(model.eval(), batch()), rtol=1e-4, atol=1e-4)
    with pytest.raises(ModelError, match="have said nothing"):
        exits.taught()


def test_equilibrium_gives_a_layer_the_mean_gradient_of_the_exits_above_it():
    """The gradient of the sum of exit losses at layer i's output, computed by itself for each exit."""
    found = {}
    for balanced in (False, True):
        model = with_exits(layers=4)
        exits_of(model).equilibrium = balanced
        model.train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        for number in range(1, 4):
            exits_of(model).after(number).dropout = 0.0
        own = model(**batch()).logits
        said = [*exits_of(model).taught(), own]
        first = adapter_for(model).layers(model)[0].output.dense.weight
        found[balanced] = torch.autograd.grad(sum(logits.square().sum() for logits in said), first, retain_graph=True)[
            0
        ]
        if not balanced:
            singly = [torch.autograd.grad(logits.square().sum(), first, retain_graph=True)[0] for logits in said]
    # The factors telescope: exit i is reached through prod (L - j - 1) / (L - j) = (L - i) / L, over which 1 / (L - i).
    torch.testing.assert_close(found[False], sum(singly), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[True], sum(singly) / 4, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*is_gradient_checkpointing:FutureWarning")
def test_a_graph_of_one_example_is_refused_and_says_what_to_do():
    model = with_exits(rule=PatienceRule(1, 0.1))
    inputs = {name: values[:1] for name, values in batch().items()}
    with pytest.raises(ModelError, match=r"criterion layer"):
        torch.jit.trace(model, example_kwarg_inputs=inputs, strict=False)
    cut_at_exit(model, 2)
    graph = torch.jit.trace(model, example_kwarg_inputs=inputs, strict=False, check_trace=False)
    torch.testing.assert_close(graph(**inputs)["logits"], model(**inputs).logits)


def test_exits_forget_their_last_call_when_copied_and_know_when_they_are_asked_too_early():
    model = with_exits(rule=PatienceRule(1, 0.1))
    with pytest.raises(ModelError, match="has not run yet"):
        dynamic_depth(model).executed_layers()
    with torch.inference_mode():
        model(**batch())
    with pytest.raises(ModelError, match="has not run yet"):
        dynamic_depth(copy.deepcopy(model)).executed_layers()
    with pytest.raises(ModelError, match="its stack left no rows"):
        model.classifier(torch.zeros(2, 32))
    assert isinstance(dynamic_depth(model), DynamicDepth)


def test_a_stack_without_exits_and_a_layer_without_one_are_errors():
    with pytest.raises(ModelError, match="no exits yet"):
        ExitStack().adopt([nn.Identity(), nn.Identity()])(torch.zeros(1, 2, 3))
    with pytest.raises(ModelError, match="no exit after layer 3"):
        cut_at_exit(with_exits(layers=2), 3)
    with pytest.raises(ModelError, match="no exit after layer 1"):
        cut_at_exit(make("bert"), 1)
    with pytest.raises(ModelError, match="no classification head"):
        grow_exits(make("bert", "masked-language-modelling"), shared=False, seed=0)
    assert exits_of(make("bert")) is None
    assert ExitOutput(3, 2).arguments() == {"in_features": 3, "out_features": 2, "bias": True}
    assert ExitHeads().arguments() == {}
    assert len(exits_of(with_exits())._modules) == 6


def test_a_stack_is_as_long_as_its_layers():
    stack = adapter_for(model := with_exits()).stack_name(model)
    assert len(model.get_submodule(stack)) == 6
    assert len(adapter_for(model).layers(model)) == 6
