"""Dropping tokens against loops over single rows and scores by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from families import make

from bench.base.errors import ModelError
from bench.layers.tokens import TokenThresholdStack, TopTokenStack, highest, pack, received_attention
from bench.measures.computation.depth import dynamic_depth
from bench.measures.computation.tokens import dynamic_tokens
from bench.measures.computation.trace import trace
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module

LOOPING = ("bert", "roberta", "distilbert", "electra")
WIDTH, NEURONS, DEPTH, LENGTH = 32, 64, 4, 12


def batch(rows=6, seed=0):
    """Ids and mask of rows of different lengths, padded to the right."""
    draws = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 40, (rows, LENGTH), generator=draws)
    lengths = torch.randint(3, LENGTH + 1, (rows, 1), generator=draws)
    lengths[0] = LENGTH
    mask = (torch.arange(LENGTH) < lengths).long()
    return {"input_ids": ids * mask + (1 - mask) * 0, "attention_mask": mask}


def dropping(family, stack_of):
    """A model of the family with a stack that drops tokens, and the model as it was."""
    model = make(family)
    adapter, made = adapter_for(model), copy.deepcopy(model)
    layers = adapter.layers(made)
    stack = stack_of(adapter.attention_places, len(layers)).adopt(layers)
    replace_module(made, adapter.stack_name(made), stack.eval())
    return made.eval(), model, stack


def top(*shares):
    return lambda places, depth: TopTokenStack(*places, shares or [1.0] * depth)


def threshold(value, temperature=0.01):
    def build(places, depth):
        stack = TokenThresholdStack(*places, depth, temperature)
        with torch.no_grad():
            stack.thresholds.copy_(torch.as_tensor(value, dtype=torch.float32).expand(depth))
        return stack

    return build


def logits(model, inputs):
    with torch.inference_mode():
        return model(**inputs).logits


@pytest.mark.parametrize("family", LOOPING)
@pytest.mark.parametrize("stack_of", [top(), threshold(0.0)], ids=["keep all", "threshold 0"])
def test_a_model_that_keeps_every_token_is_the_model(family, stack_of):
    made, model, stack = dropping(family, stack_of)
    inputs = batch()
    torch.testing.assert_close(logits(made, inputs), logits(model, inputs), rtol=0, atol=1e-5)
    assert torch.equal(stack.kept_shares(), torch.ones(6, DEPTH))


@pytest.mark.parametrize("family", LOOPING)
def test_it_is_the_model_bit_for_bit_if_that_runs_attention_without_a_fused_kernel(family):
    made, model, _ = dropping(family, threshold(0.0))
    model.set_attn_implementation("eager")
    inputs = batch()
    assert torch.equal(logits(made, inputs), logits(model, inputs))


def test_scores_are_the_mean_of_the_columns_over_heads_and_real_queries():
    draws = torch.Generator().manual_seed(3)
    probabilities = torch.rand(1, 2, 3, 3, generator=draws)
    probabilities[..., 2] = 0  # nobody attends to padding
    probabilities /= probabilities.sum(-1, keepdim=True)
    real = torch.tensor([[True, True, False]])
    by_hand = [
        sum(float(probabilities[0, head, query, key]) for head in range(2) for query in range(2)) / 4
        for key in range(3)
    ]
    assert received_attention(probabilities, real)[0].tolist() == pytest.approx(by_hand)
    assert sum(by_hand) == pytest.approx(1.0)
    others = [by_hand[key] - sum(float(probabilities[0, head, key, key]) for head in range(2)) / 4 for key in range(2)]
    assert received_attention(probabilities, real, own=False)[0, :2].tolist() == pytest.approx(others)


def test_the_highest_are_kept_with_the_first_and_padding_never_is():
    scores = torch.tensor([[0.0, 0.3, 0.1, 0.3, 0.2], [0.9, 0.1, 0.5, 9.0, 9.0]])
    real = torch.tensor([[True] * 5, [True, True, True, False, False]])
    assert highest(scores, real, torch.tensor([3.0, 2.0])).tolist() == [
        [True, True, False, True, False],
        [True, False, True, False, False],
    ]
    assert highest(scores, real, torch.tensor([2.0, 5.0])).tolist() == [
        [True, True, False, False, False],
        [True, True, True, False, False],
    ]


def test_kept_tokens_move_together_in_their_order():
    state = torch.arange(10.0).view(2, 5, 1)
    chosen = torch.tensor([[True, False, True, False, True], [True, False, False, True, False]])
    packed, left = pack(state, chosen, torch.ones(2, 5, dtype=torch.bool))
    assert packed[0, :, 0].tolist() == [0.0, 2.0, 4.0]
    assert packed[1, :2, 0].tolist() == [5.0, 8.0]
    assert left.tolist() == [[True, True, True], [True, True, False]]


@pytest.mark.parametrize("family", LOOPING)
@pytest.mark.parametrize("stack_of", [top(0.8, 0.6, 0.4, 0.2), threshold((0.05, 0.08, 0.1, 0.12))], ids=["top", "ltp"])
def test_a_row_keeps_the_same_tokens_alone_as_in_a_padded_batch(family, stack_of):
    made, _, stack = dropping(family, stack_of)
    inputs = batch()
    together, shares = logits(made, inputs), stack.kept_shares()
    assert (shares < 1).any()
    for row in range(len(together)):
        length = int(inputs["attention_mask"][row].sum())
        alone = {name: values[row : row + 1, :length] for name, values in inputs.items()}
        torch.testing.assert_close(logits(made, alone), together[row : row + 1], rtol=0, atol=1e-4)
        torch.testing.assert_close(stack.kept_shares(), shares[row : row + 1])


def test_dropping_is_as_a_loop_that_masks_what_was_dropped():
    """The tokens that left get no attention: the same numbers as a mask gives in a model that runs all of them."""
    made, model, stack = dropping("bert", top(0.75, 0.5, 0.5, 0.25))
    ids = batch()["input_ids"][:1]
    found = logits(made, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        hidden = model.bert.embeddings(input_ids=ids)
        there = torch.ones(LENGTH, dtype=torch.bool)
        for count, layer in zip((9, 6, 6, 3), model.bert.encoder.layer, strict=True):
            mask = torch.where(there, 0.0, -torch.inf)[None, None, None, :]
            _, probabilities = layer.attention.self(hidden, mask)
            score = probabilities[0][:, there].sum((0, 1))
            score[0] = torch.inf
            best = sorted(range(LENGTH), key=lambda token: (-float(score[token]), token))
            kept = [token for token in best if there[token]][:count]
            hidden = layer(hidden, mask)
            there = torch.tensor([token in kept for token in range(LENGTH)])
        alike = model.classifier(model.bert.pooler(hidden))
    torch.testing.assert_close(found, alike, rtol=0, atol=1e-4)
    assert (stack.kept_shares() * LENGTH).round().int().tolist() == [[9, 6, 6, 3]]


def test_the_first_token_always_stays_and_a_layer_may_keep_it_alone():
    made, _, stack = dropping("bert", threshold(1.0))
    inputs = batch()
    assert torch.isfinite(logits(made, inputs)).all()
    lengths = inputs["attention_mask"].sum(1)
    torch.testing.assert_close(stack.kept_shares(), (1 / lengths)[:, None].expand(-1, DEPTH))


def closed_form(counts):
    """Multiply-adds of the layers: attention over what came in, the map after it over what is kept."""
    total, before = 0, LENGTH
    for kept in counts:
        total += 4 * before * WIDTH**2 + 2 * before**2 * WIDTH + 2 * kept * WIDTH * NEURONS
        before = kept
    return total


def test_multiply_adds_are_those_of_the_closed_form_for_the_kept_counts():
    ids = batch()["input_ids"][:1]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    made, model, stack = dropping("bert", top(0.75, 0.5, 0.5, 0.25))
    ledger = trace(made, inputs)
    inside = sum(each.macs for each in ledger.operations if ".encoder." in f".{each.module}.")
    assert ledger.uncounted == {}
    assert inside == closed_form((9, 6, 6, 3))
    whole = trace(model, inputs)
    assert whole.macs - ledger.macs == closed_form((12,) * 4) - closed_form((9, 6, 6, 3))
    made, _, stack = dropping("bert", threshold(0.0))
    with stack.keeping((0.75, 0.5, 0.25, 1 / 12)):
        forced = trace(made, inputs)
    assert whole.macs - forced.macs == closed_form((12,) * 4) - closed_form((9, 6, 3, 1))


def test_only_thresholds_make_the_count_depend_on_what_is_read():
    assert dynamic_tokens(dropping("bert", top())[0]) is None
    made, _, stack = dropping("bert", threshold(0.1))
    assert dynamic_tokens(made) is stack
    assert dynamic_depth(made) is None


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*is_gradient_checkpointing:FutureWarning")
def test_a_graph_is_refused():
    made, _, _ = dropping("bert", top(0.5, 0.5, 0.5, 0.5))
    with pytest.raises(ModelError, match="decides for each input which tokens it drops"):
        torch.jit.trace(made, example_kwarg_inputs=batch(), strict=False)


def test_in_soft_training_no_token_leaves_and_the_gradient_reaches_every_threshold():
    made, _, stack = dropping("bert", threshold(0.08, temperature=0.05))
    inputs = batch()
    made.train()
    stack.soft = True
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    made(**inputs).logits.sum().backward()
    assert torch.equal(stack.kept_shares(), torch.ones(6, DEPTH))
    # The last layer's thresholds act on tokens whose states nobody reads any more.
    assert (stack.thresholds.grad[:-1].abs() > 0).all()
    price = stack.price()
    stack.thresholds.grad = None
    made(**inputs)
    stack.price().backward()
    assert (stack.thresholds.grad < 0).all()  # a higher threshold keeps less
    assert 0 < float(price.detach()) < 1
    with pytest.raises(ModelError, match="no price"):
        stack.price()


def test_the_factors_of_soft_training_are_sigmoids_by_hand():
    made, model, stack = dropping("bert", threshold(0.1, temperature=0.02))
    ids = batch()["input_ids"][:1]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    stack.train()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    stack.soft = True
    with torch.no_grad():
        found = made(**inputs).logits
    model.set_attn_implementation("eager")
    factors = []
    with torch.inference_mode():
        hidden = model.bert.embeddings(input_ids=ids)
        for layer in model.bert.encoder.layer:
            _, probabilities = layer.attention.self(hidden)
            factor = torch.sigmoid((probabilities[0].mean((0, 1)) - 0.1) / 0.02)
            factor[0] = 1.0
            factors.append(factor.mean())
            hidden = layer(hidden) * factor[None, :, None]
        alike = model.classifier(model.bert.pooler(hidden))
    torch.testing.assert_close(found, alike, rtol=0, atol=1e-5)
    assert float(stack._price) == pytest.approx(float(torch.stack(factors).mean()), rel=1e-5)


def test_attention_without_probabilities_is_named():
    made, _, _ = dropping("bert", top(0.5, 0.5, 0.5, 0.5))
    made.bert.encoder.layer.layers()[1].attention.self.forward = lambda hidden, *_args, **_kwargs: (hidden, None)
    with pytest.raises(ModelError, match=r"attention\.self' gives no probabilities"):
        logits(made, batch())
