"""BLEU and perplexity, against hand and against sacreBLEU's own command of the same data."""

import math

import numpy as np
import pytest
from made_sequences import joint_tokenizer, sequence_task, tiny_gpt2

from bench.base.errors import DataError
from bench.tasks.evaluate import predict
from bench.tasks.examples import Example
from bench.tasks.metrics.answers import bleu_signature, corpus_bleu
from bench.tasks.metrics.metric import METRICS, metric_scorer, quality_scorer, score_metrics, scorer
from bench.tasks.predictions import TextLosses, WrittenAnswers

ANSWERS = ("the cat sat on the mat .", "a dog runs fast", "")
TARGETS = ("the cat sat on a mat.", "a dog runs very fast", "two birds")


def made_texts(count=40, seed=0):
    generator = np.random.default_rng(seed)
    draw = lambda: " ".join(generator.choice(list("abcdef"), size=generator.integers(4, 12)))  # noqa: E731
    return [draw() for _ in range(count)], [draw() for _ in range(count)]


def bleu(answers, targets):
    return score_metrics(["bleu"], answers, [[target] for target in targets])["bleu"]


def test_bleu_by_hand_on_two_sentences():
    # Words in common: 6 + 4 of 7 + 4; pairs: 4 + 2 of 6 + 3; triples: 2 + 1 of 5 + 2; fours: 1 + 0 of 4 + 1.
    precisions = (10 / 11, 6 / 9, 3 / 7, 1 / 5)
    brevity = math.exp(1 - 12 / 11)
    expected = brevity * math.prod(precisions) ** (1 / 4)
    assert bleu(ANSWERS[:2], TARGETS[:2]) == pytest.approx(expected)


def test_equal_texts_have_bleu_one_and_texts_without_a_common_word_none():
    assert bleu(TARGETS, TARGETS) == 1.0
    assert bleu(["x y z w"], ["a b c d"]) == 0.0


def test_bleu_is_of_the_corpus_and_no_mean_of_sentences():
    answers, targets = made_texts()
    mean = np.mean([bleu([a], [t]) for a, t in zip(answers, targets, strict=True)])
    assert abs(bleu(answers, targets) - mean) > 0.01


def test_bleu_from_counts_equals_that_of_the_texts():
    answers, targets = made_texts()
    assert corpus_bleu(answers, targets) == pytest.approx(bleu(answers, targets), abs=1e-12)
    resampled = scorer("bleu", WrittenAnswers(tuple(answers)), targets)
    chosen = np.random.default_rng(1).integers(0, len(answers), size=len(answers))
    expected = bleu([answers[row] for row in chosen], [targets[row] for row in chosen])
    assert resampled(chosen) == pytest.approx(expected, abs=1e-12)


def test_the_signature_is_that_of_sacrebleu():
    import sacrebleu

    assert bleu_signature() == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary():
    import torch

    tokenizer, model = joint_tokenizer(), tiny_gpt2()
    with torch.no_grad():
        model.transformer.wte.weight.zero_()  # tied: every token has the same logit
    examples = [Example(uid=str(n), text=text) for n, text in enumerate(("ka lo", "mi", "nu nu nu po tu"))]
    said = predict(
        model,
        tokenizer,
        examples,
        task=sequence_task("language_modelling"),
        max_length=4,
        token_budget=8,
        device="cpu",
    )
    nats, tokens = said.losses.T
    assert score_metrics(["perplexity"], nats, tokens)["perplexity"] == pytest.approx(20, rel=1e-5)


def test_perplexity_is_over_all_tokens_and_no_mean_of_texts():
    found = score_metrics(["perplexity"], [1.0, 30.0], [1, 9])["perplexity"]
    assert found == pytest.approx(math.exp(3.1))
    losses = np.array([[1.0, 1], [30.0, 9], [2.0, 4]])
    resampled = scorer("perplexity", TextLosses(losses), [None] * 3)
    assert resampled(np.array([0, 1])) == pytest.approx(found)
    assert resampled(np.array([1, 1, 2])) == pytest.approx(math.exp(62 / 22))


def test_perplexity_of_nothing_or_of_the_impossible_is_undefined():
    with pytest.raises(DataError, match="no token was predicted"):
        score_metrics(["perplexity"], [0.0], [0])
    with pytest.raises(DataError, match="too large"):
        score_metrics(["perplexity"], [1e9], [1])


def test_quality_grows_as_perplexity_falls_and_is_the_geometric_mean_probability():
    probabilities = [0.5, 0.1, 0.9]
    nats = -math.log(math.prod(probabilities))
    perplexity = score_metrics(["perplexity"], [nats], [3])["perplexity"]
    assert METRICS.get("perplexity").as_quality(perplexity) == pytest.approx(math.prod(probabilities) ** (1 / 3))
    assert METRICS.get("bleu").as_quality(0.3) == 0.3


def test_over_splits_quality_is_the_mean_of_qualities_and_perplexity_of_perplexities():
    parts = [
        (TextLosses(np.array([[math.log(2), 1.0]])), [None]),
        (TextLosses(np.array([[math.log(4), 1.0]])), [None]),
    ]
    every = np.arange(2)
    assert quality_scorer(parts, ["perplexity"])(every) == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert metric_scorer(parts, "perplexity")(every) == pytest.approx(3)
