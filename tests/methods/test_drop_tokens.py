"""Dropping tokens as a method: what is trained, stored, compressed further, counted and refused."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch
from families import make
from made_pruning import prune
from pydantic import ValidationError

from bench.artifacts.artifact import load, save
from bench.base.errors import MethodError
from bench.layers.tokens import TokenStack, TokenThresholdStack, TopTokenStack
from bench.measures.computation.executions import executions
from bench.measures.computation.tokens import TokenShares
from bench.measures.computation.trace import trace
from bench.methods.exit.halt import Halt
from bench.methods.quantize.quantize import Quantize
from bench.methods.shrink.shrink import Shrink
from bench.methods.tokens.drop import DropTokens
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

IDS = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3]])
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
PADDED = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3], [2, 12, 13, 14, 3, 0, 0, 0, 0]])
HALF = {"name": "top-k", "keep": 0.5}


def stack_of(model):
    (stack,) = (module for module in model.modules() if isinstance(module, TokenStack))
    return stack


def logits(model):
    with torch.inference_mode():
        return model(input_ids=PADDED, attention_mask=(PADDED != 0).long()).logits


def test_shares_fall_linearly_to_the_last_layer(make_lab):
    made = DropTokens(budget=0, rule=HALF).compress(make("bert"), make_lab())
    assert stack_of(made).shares == pytest.approx((0.875, 0.75, 0.625, 0.5))
    made(**INPUTS)
    assert (stack_of(made).kept_shares() * 9).round().int().tolist() == [[8, 7, 6, 5]]  # ceil of 7.875, 6.75, ...


def test_shares_may_fall_by_one_factor(make_lab):
    rule = {"name": "top-k", "keep": 0.0625, "fall": "geometric"}
    made = DropTokens(budget=0, rule=rule).compress(make("bert"), make_lab())
    assert stack_of(made).shares == pytest.approx((0.5, 0.25, 0.125, 0.0625))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
def test_one_token_after_the_last_attention_changes_no_output_and_saves_its_feed_forward_map(family, make_lab):
    method, model = DropTokens(rule="last-layer"), make(family)
    made = method.compress(model, make_lab())
    torch.testing.assert_close(logits(made), logits(model), rtol=0, atol=1e-5)
    assert not method.seeded()
    made(**INPUTS)
    assert (stack_of(made).kept_shares() * 9).round().int().tolist() == [[9, 9, 9, 1]]
    assert trace(model, INPUTS).macs - trace(made, INPUTS).macs == 8 * 2 * 32 * 64  # 8 tokens less, two maps of 32 x 64


def test_thresholds_start_on_a_rising_line_and_are_learned(make_lab, tiny_bert):
    rule = {"name": "threshold", "start": 0.1, "temperature": 0.05, "price": 5.0}
    start = stack_of(DropTokens(budget=0, rule=rule).compress(tiny_bert(), make_lab())).thresholds.detach()
    assert start.tolist() == pytest.approx([0.025, 0.05, 0.075, 0.1])
    learned = stack_of(DropTokens(budget=1.0, rule=rule).compress(tiny_bert(), make_lab()))
    assert (learned.thresholds > start).all()  # with a high price fewer tokens are worth it
    assert not learned.soft
    assert learned.thresholds.requires_grad


def test_thresholds_are_fixed_once_tokens_leave(make_lab, tiny_bert):
    hard = {"name": "threshold", "start": 0.1, "soft": 0.0}
    made = DropTokens(budget=1.0, rule=hard).compress(tiny_bert(), make_lab())
    assert stack_of(made).thresholds.tolist() == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert not torch.equal(made.classifier.weight, tiny_bert().classifier.weight)


def test_it_can_be_distilled_from_outputs_and_not_from_layers(make_lab, tiny_bert):
    made = DropTokens(budget=0.5, rule=HALF, terms={"logits": 1.0}).compress(tiny_bert(), make_lab())
    assert torch.isfinite(logits(made)).all()
    with pytest.raises(ValidationError, match="compares layers token by token, and tokens leave"):
        DropTokens(terms={"labels": 1.0, "hidden": 1.0})


@pytest.mark.parametrize("rule", [HALF, {"name": "threshold", "start": 0.15}], ids=["top-k", "threshold"])
def test_an_artifact_is_data_and_gives_the_same_outputs(rule, make_lab, tokenizer, tmp_path):
    made = DropTokens(budget=0, rule=rule).compress(make("bert"), make_lab())
    save(made, tmp_path / "artifact", tokenizer=tokenizer)
    again = load(tmp_path / "artifact").model
    assert torch.equal(logits(again), logits(made))
    assert type(stack_of(again)) in (TopTokenStack, TokenThresholdStack)
    assert (stack_of(again).kept_shares() < 1).any()


def test_int8_comes_after_it(make_lab):
    made = DropTokens(budget=0, rule=HALF).compress(make("bert"), make_lab())
    small = Quantize().compress(made, make_lab())
    torch.testing.assert_close(logits(small), logits(made), rtol=0, atol=0.5)
    assert not torch.equal(logits(small), logits(made))
    small(**INPUTS)
    assert (stack_of(small).kept_shares() * 9).round().int().tolist() == [[8, 7, 6, 5]]


def test_heads_and_neurons_may_be_fewer_before_it(make_lab):
    lab = make_lab(make("bert"))
    zeroed = prune(unit="head", saliency="random", sparsity=0.5, budget=0.0).compress(make("bert"), lab)
    cut = Shrink().compress(zeroed, lab)
    assert {layer.attention.self.query.out_features for layer in cut.bert.encoder.layer} != {32}
    made = DropTokens(budget=0, rule={"name": "top-k", "keep": 1.0}).compress(cut, make_lab())
    torch.testing.assert_close(logits(made), logits(cut), rtol=0, atol=1e-5)


def test_the_count_is_the_mean_over_the_shares_that_stand_for_all(make_lab):
    made = DropTokens(budget=0, rule={"name": "threshold", "start": 0.0}).compress(make("bert"), make_lab())
    chosen = ((1.0, 1.0, 1.0, 1.0), (8 / 9, 6 / 9, 4 / 9, 2 / 9), (3 / 9, 3 / 9, 1 / 9, 1 / 9))
    found = executions(made, INPUTS, None, TokenShares(3, (0.0,) * 4, chosen))
    alone = []
    for shares in chosen:
        with stack_of(made).keeping(shares):
            alone.append(trace(made, INPUTS).macs)
    assert len(set(alone)) == 3
    assert found.mean(lambda ledger: ledger.macs) == float(Fraction(sum(alone), 3))


def test_a_task_that_needs_every_token_is_refused(make_lab):
    lab = make_lab()
    lab = dataclasses.replace(lab, task=SimpleNamespace(kind="span_qa"))
    with pytest.raises(MethodError, match="a span_qa task needs all tokens"):
        DropTokens(budget=0).compress(make("bert"), lab)


@pytest.mark.parametrize("family", ["albert", "roberta-prelayernorm"])
def test_architectures_that_cannot_are_refused(family, make_lab):
    with pytest.raises(MethodError, match="a norm after its attention"):
        DropTokens(budget=0).compress(make(family), make_lab())


def test_a_stack_of_another_form_is_refused(make_lab):
    lab = make_lab()
    for method in (Halt(budget=0), DropTokens(budget=0)):
        with pytest.raises(MethodError, match="only one of these is possible"):
            DropTokens(budget=0).compress(method.compress(make("bert"), lab), lab)


def test_the_recipes_make_their_stacks(make_lab, tiny_bert):
    kinds = []
    for name in ("power-bert", "learned-token-pruning", "first-token-last-layer"):
        (method,) = methods_of(load_recipe(name))
        made = method.model_copy(update={"budget": 0.0}).compress(tiny_bert(), make_lab())
        kinds.append(stack_of(made).kind)
        assert adapter_for(made).depth(made) == 4
    assert kinds == ["top-token-stack", "token-threshold-stack", "top-token-stack"]
