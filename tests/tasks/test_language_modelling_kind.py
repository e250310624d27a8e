"""Language modelling: every token is predicted once, and its loss is that of the text."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from made_sequences import SOURCE, joint_tokenizer, sequence_task, tiny_gpt2

from bench.base.errors import DataError
from bench.spec.setting import Training
from bench.tasks.batching import collate
from bench.tasks.evaluate import predict
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS
from bench.tasks.predictions import WrittenAnswers
from bench.training.loop import train

KIND = KINDS.get("language_modelling")
TASK = sequence_task("language_modelling")


@pytest.fixture(scope="module")
def tokenizer():
    return joint_tokenizer()


def lines(count=23, seed=0):
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(SOURCE, size=generator.integers(1, 9))) for _ in range(count)]
    return [Example(uid=f"e{number}", text=text) for number, text in enumerate(texts)]


def encode(examples, tokenizer, *, training=True, max_length=16):
    return KIND.encode(examples, tokenizer, task=TASK, max_length=max_length, training=training)


def said(model, tokenizer, examples, *, max_length=16, budget=64):
    return predict(
        model, tokenizer, examples, task=TASK, max_length=max_length, token_budget=budget, device="cpu"
    ).losses


@pytest.mark.parametrize("max_length", [4, 7, 1000])
def test_every_token_but_the_first_is_predicted_exactly_once(tokenizer, max_length):
    examples = lines()
    stream = [3]
    for example in examples:
        stream += [*tokenizer.convert_tokens_to_ids(example.text.split()), 3]
    features = encode(examples, tokenizer, max_length=max_length)
    assert [token for feature in features for token in feature.inputs["input_ids"][1:]] == stream[1:]
    assert [label for feature in features for label in feature.targets["labels"][:-1]] == stream[1:]
    assert {feature.targets["labels"][-1] for feature in features} == {-100}
    assert max(len(feature.inputs["input_ids"]) for feature in features) <= max_length


def test_a_token_belongs_to_the_example_that_it_was_read_from(tokenizer):
    features = encode([Example(uid="a", text="ka lo"), Example(uid="b", text="mi")], tokenizer, max_length=4)
    assert [feature.owners for feature in features] == [(0, 0, 0, 0), (0, 1, 1)]
    assert [feature.inputs["input_ids"][-1] for feature in features] == [3, 3]


def test_losses_equal_one_unpadded_call_a_block(tokenizer):
    import torch

    model, examples = tiny_gpt2(std=0.3), lines()
    losses = said(model, tokenizer, examples)
    expected = np.zeros_like(losses)
    for feature in encode(examples, tokenizer):
        ids = torch.tensor([feature.inputs["input_ids"]])
        with torch.no_grad():
            logs = model(input_ids=ids).logits[0].log_softmax(-1)
        for place in range(1, ids.shape[1]):
            expected[feature.owners[place]] += [-logs[place - 1, ids[0, place]].item(), 1]
    assert np.abs(losses - expected).max() < 1e-3
    assert losses[:, 1].tolist() == [len(example.text.split()) + 1 for example in examples]
    assert losses[:, 0].std() > 1


@pytest.mark.parametrize("budget", [16, 1024])
def test_losses_do_not_depend_on_the_batch(tokenizer, budget):
    model, examples = tiny_gpt2(std=0.3), lines()
    assert said(model, tokenizer, examples, budget=budget) == pytest.approx(said(model, tokenizer, examples), rel=1e-4)


def test_the_training_loss_is_the_mean_over_the_tokens(tokenizer):
    model, examples = tiny_gpt2(std=0.3), lines()
    batch = collate(encode(examples, tokenizer), pad_id=0)
    nats, tokens = said(model, tokenizer, examples).sum(axis=0)
    assert KIND.loss(model(**batch.inputs), batch.targets).item() == pytest.approx(nats / tokens, rel=1e-4)


def test_a_text_that_repeats_itself_is_learnt(tokenizer):
    examples = [Example(uid=str(number), text="ka lo mi nu") for number in range(120)]
    model = tiny_gpt2()
    before = said(model, tokenizer, examples).sum(axis=0)
    plan = Training(epochs=12, batch_size=8, learning_rate=5e-3, weight_decay=0.0)
    train(model, encode(examples, tokenizer), kind=KIND, pad_id=0, plan=plan, seed=0, device="cpu")
    after = said(model, tokenizer, examples).sum(axis=0)
    assert math.exp(before[0] / before[1]) > 10
    assert math.exp(after[0] / after[1]) < 2


def test_the_conditions_state_the_vocabulary_and_what_it_lacks(tokenizer):
    found = KIND.conditions([Example(uid="a", text="ka zz lo")], tokenizer, task=TASK, max_length=8)
    assert (found["vocabulary"], found["predicted_tokens"], found["unknown_tokens"]) == (20, 4, 1)
    assert "8 tokens" in found["context"]


def test_predictions_without_losses_are_not_scored():
    with pytest.raises(DataError, match="no losses"):
        KIND.score(WrittenAnswers(("a",)), lines(1), ["perplexity"])


def test_logits_are_those_of_the_next_token():
    logits = object()
    assert KIND.logits(SimpleNamespace(logits=logits), None) == (logits,)
