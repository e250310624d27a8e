"""Masked language modelling: which places are chosen, what stands there, and that only those are scored."""

import dataclasses
import math
import random

import numpy as np
import pytest
from families import ENCODERS, make
from made_sequences import joint_tokenizer

from bench.artifacts.source import open_source
from bench.base.errors import DataError
from bench.spec.setting import Training
from bench.spec.suite import Task
from bench.tasks.batching import collate
from bench.tasks.evaluate import predict
from bench.tasks.examples import Example
from bench.tasks.features import IGNORED, Feature
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.masked_language_modelling import Maskable, masked
from bench.tasks.predictions import TextLosses
from bench.training.loop import train

HEAD = "masked-language-modelling"
KIND = KINDS.get("masked_language_modelling")
TASK = Task(name="made", kind=KIND.name, metrics=("perplexity",), data={"source": "s", "subset": "t"})
PAD, CLS, SEP, MASK = 0, 2, 3, 4
WORDS = [
    *("the", "a", "film", "was", "good", "bad", "not", "very", "really", "awful", "great", "boring"),
    *("fun", "plot", "actor", "story", "is", "it", "this", "and", "but"),
]


def lines(count=23, *, seed=0, words=WORDS, longest=9):
    draws = random.Random(seed)
    texts = [" ".join(draws.choices(words, k=draws.randrange(1, longest + 1))) for _ in range(count)]
    return [Example(uid=f"e{number}", text=text) for number, text in enumerate(texts)]


def encode(examples, tokenizer, *, task=TASK, training=False, max_length=16):
    return KIND.encode(examples, tokenizer, task=task, max_length=max_length, training=training)


def said(model, tokenizer, examples, *, budget=64, max_length=16):
    return predict(
        model, tokenizer, examples, task=TASK, max_length=max_length, token_budget=budget, device="cpu"
    ).losses


def perplexity_of(losses):
    return KIND.score(TextLosses(losses), [None] * len(losses), ("perplexity",))["perplexity"]


def original(feature):
    labels, tokens = feature.targets["labels"], feature.inputs["input_ids"]
    return [token if label == IGNORED else label for label, token in zip(labels, tokens, strict=True)]


def plan(epochs=1.0, **more):
    return Training(**{"epochs": epochs, "batch_size": 8, "learning_rate": 3e-3, "warmup": 0.1, **more})


def within(found, share, count):
    """Whether a binomial share lies within four standard deviations of what it should be."""
    return abs(found / count - share) < 4 * math.sqrt(share * (1 - share) / count)


def test_the_shares_of_chosen_masked_random_and_kept_places_are_berts():
    words = range(10, 1010)
    text = Maskable(tokens=tuple(range(10, 57)), places=tuple(range(47)), mask=MASK, words=words)
    draws, fates, chosen = random.Random(0), {"mask": 0, "random": 0, "kept": 0}, np.zeros(47)
    for _ in range(2000):
        tokens, labels = masked(text, draws)
        for place, (token, label) in enumerate(zip(tokens, labels, strict=True)):
            if label == IGNORED:
                assert token == text.tokens[place]
                continue
            assert label == text.tokens[place]
            chosen[place] += 1
            fates["mask" if token == MASK else "kept" if token == label else "random"] += 1
    total = sum(fates.values())
    assert within(total, 0.15, 2000 * 47)
    assert within(fates["mask"], 0.8, total)
    assert within(fates["random"], 0.1 * 0.999, total)  # one random token in a thousand is the one that was there
    assert within(fates["kept"], 0.1 * 1.001, total)
    assert all(within(count, 0.15, 2000) for count in chosen)  # no place is preferred


@pytest.mark.parametrize(("places", "least", "most"), [(1, 1, 1), (6, 1, 1), (7, 1, 2), (20, 3, 3), (50, 7, 8)])
def test_a_text_has_the_nearest_whole_numbers_of_chosen_places_and_at_least_one(places, least, most):
    text = Maskable(tokens=tuple(range(10, 10 + places)), places=tuple(range(places)), mask=MASK, words=range(10, 99))
    draws = random.Random(0)
    counts = {sum(label != IGNORED for label in masked(text, draws).labels) for _ in range(300)}
    assert counts == set(range(least, most + 1))


def test_special_tokens_and_padding_are_never_chosen_and_never_drawn(tokenizer):
    examples = [Example(uid=str(number), text="[SEP] good [MASK] film [PAD] zzz") for number in range(400)]
    features = encode(examples, tokenizer)
    unknown = tokenizer.unk_token_id
    fixed = {0: CLS, 1: SEP, 3: MASK, 5: PAD, 7: SEP}
    seen = set()
    for feature in features:
        for place, token in fixed.items():
            assert (feature.inputs["input_ids"][place], feature.targets["labels"][place]) == (token, IGNORED)
        assert unknown in original(feature)
        seen |= {feature.inputs["input_ids"][place] for place in (2, 4, 6)}
    assert {feature.targets["labels"][6] for feature in features} == {unknown, IGNORED}  # a word, though an unknown one
    assert seen & {PAD, CLS, SEP} == set()
    assert MASK in seen
    batch = collate(encode(lines(), tokenizer), pad_id=PAD)
    padding = batch.inputs["attention_mask"] == 0
    assert padding.any()
    assert (batch.targets["labels"][padding] == IGNORED).all()
    assert (batch.inputs["input_ids"][padding] == PAD).all()


def test_what_is_evaluated_depends_on_the_datas_seed_and_the_example_alone(tokenizer):
    examples = lines()
    features = encode(examples, tokenizer)
    assert encode(examples, tokenizer) == features
    (alone,) = encode(examples[7:8], tokenizer)
    assert dataclasses.replace(alone, example=7) == features[7]
    other = TASK.model_copy(update={"data": TASK.data.model_copy(update={"seed": 1})})
    changed = encode(examples, tokenizer, task=other)
    assert [original(feature) for feature in changed] == [original(feature) for feature in features]
    assert changed != features


def test_two_models_see_the_same_places(tokenizer):
    seen = []
    for seed, budget in ((0, 64), (1, 40)):
        model, inputs = make("bert", HEAD, seed=seed), {}

        def heard(module, given, named, inputs=inputs):
            for row, mask in zip(named["input_ids"].tolist(), named["attention_mask"].tolist(), strict=True):
                key = tuple(row[: sum(mask)])
                inputs[key] = inputs.get(key, 0) + 1

        model.register_forward_pre_hook(heard, with_kwargs=True)
        losses = said(model, tokenizer, lines(), budget=budget)
        seen.append((inputs, losses[:, 1].tolist()))
    assert seen[0] == seen[1]
    assert any(MASK in tokens for tokens in seen[0][0])


def test_losses_are_those_of_the_chosen_places_alone(tokenizer):
    import torch

    model, examples = make("bert", HEAD), lines()
    features = encode(examples, tokenizer)
    expected = np.zeros((len(examples), 2))
    for feature in features:
        with torch.no_grad():
            logs = model(input_ids=torch.tensor([feature.inputs["input_ids"]])).logits[0].log_softmax(-1)
        for place, label in enumerate(feature.targets["labels"]):
            if label != IGNORED:
                expected[feature.example] += [-logs[place, label].item(), 1]
    found = said(model, tokenizer, examples)
    assert np.abs(found - expected).max() < 1e-3
    assert found[:, 1].min() >= 1
    perplexity = perplexity_of(found)
    assert perplexity == pytest.approx(math.exp(expected[:, 0].sum() / expected[:, 1].sum()), rel=1e-4)


def test_a_long_text_is_cut_into_pieces_that_share_no_word(tokenizer):
    text = " ".join([*WORDS, *WORDS])
    features = encode([Example(uid="short", text="good film"), Example(uid="long", text=text)], tokenizer)
    assert [feature.example for feature in features] == [0, 1, 1, 1]
    tokens = [original(feature) for feature in features[1:]]
    assert all((part[0], part[-1]) == (CLS, SEP) and len(part) <= 16 for part in tokens)
    assert [token for part in tokens for token in part[1:-1]] == tokenizer.convert_tokens_to_ids(text.split())
    chosen = [feature.targets["labels"] for feature in features[1:3]]
    assert [label == IGNORED for label in chosen[0]] != [label == IGNORED for label in chosen[1]]
    losses = said(make("bert", HEAD), tokenizer, [Example(uid="long", text=text)])
    assert losses[0, 1] == sum(label != IGNORED for feature in features[1:] for label in feature.targets["labels"])


def test_a_text_without_words_teaches_nothing_and_is_scored_with_nothing(tokenizer):
    examples = [Example(uid="empty", text="[SEP]"), Example(uid="full", text="good film")]
    assert [feature.example for feature in encode(examples, tokenizer, training=True)] == [1]
    losses = said(make("bert", HEAD), tokenizer, examples)
    assert losses[0].tolist() == [0, 0]
    assert losses[1, 1] == 1


def test_the_places_differ_between_epochs_and_between_seeds_and_are_the_same_for_one_seed(tokenizer):
    features = encode(lines(16, longest=12), tokenizer, training=True)
    texts = {tuple(original(feature)): number for number, feature in enumerate(features)}
    assert len(texts) == 16

    def seen(seed):
        """The texts as read in each of three epochs, by number."""
        model, read, labels = make("bert", HEAD), [], []
        model.register_forward_pre_hook(lambda *given: read.extend(given[2]["input_ids"].tolist()), with_kwargs=True)

        class Watched(type(KIND)):
            def loss(self, outputs, targets):
                labels.extend(targets["labels"].tolist())
                return super().loss(outputs, targets)

        train(model, features, kind=Watched(), pad_id=PAD, plan=plan(3.0), seed=seed, device="cpu")
        epochs = [{}, {}, {}]
        for number, (tokens, wanted) in enumerate(zip(read, labels, strict=True)):
            pairs = zip(tokens, wanted, strict=True)
            text = tuple(token if label == IGNORED else label for token, label in pairs if token != PAD)
            epochs[number // 16][texts[text]] = [label == IGNORED for label in wanted[: len(text)]]
        return epochs

    first = seen(0)
    assert all(len(epoch) == 16 for epoch in first)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert sum(first[one][row] != first[other][row] for row in range(16)) > 8
    assert seen(0) == first
    assert seen(1) != first


def test_a_feature_of_another_kind_has_no_text_to_mask():
    with pytest.raises(DataError, match="has no text to mask"):
        KIND.anew(Feature(inputs={}, targets={}, example=0), random.Random(0))


def test_other_kinds_train_on_their_features_as_they_are():
    feature, draws = Feature(inputs={"input_ids": [1]}, targets={"labels": 1}, example=0), random.Random(0)
    for name in KINDS.names():
        if name != KIND.name:
            assert KINDS.get(name).anew(feature, draws) is feature


def test_the_loss_falls_to_what_a_repetitive_text_leaves_to_guess(tokenizer):
    text = "the film was good and the story was fun"
    examples = [Example(uid=str(number), text=text) for number in range(64)]
    model = open_source("demo-bert").build(head=HEAD, labels=None, tokenizer=tokenizer, seed=0)
    features = encode(examples, tokenizer, training=True)
    before = perplexity_of(said(model, tokenizer, examples))
    log = train(model, features, kind=KIND, pad_id=PAD, plan=plan(20.0), seed=0, device="cpu")
    after = perplexity_of(said(model, tokenizer, examples))
    assert np.mean(log.losses[-10:]) < 0.2 * np.mean(log.losses[:10])
    assert after < 1.5 < 10 < before


@pytest.mark.parametrize("family", ENCODERS)
def test_every_architecture_goes_from_training_through_an_artifact_to_the_same_losses(family, tokenizer, tmp_path):
    import torch

    from bench.artifacts.artifact import load, save
    from bench.models.adapter import adapter_for

    examples = lines()
    model = make(family, HEAD)
    before = said(model, tokenizer, examples)
    features = encode(examples, tokenizer, training=True)
    train(model, features, kind=KIND, pad_id=PAD, plan=plan(), seed=0, device="cpu")
    table, output = model.get_input_embeddings(), model.get_output_embeddings()
    assert output.weight is table.weight
    losses = said(model, tokenizer, examples)
    assert np.abs(losses[:, 0] - before[:, 0]).max() > 0.1
    save(model, tmp_path / "made", tokenizer=tokenizer)
    loaded = load(tmp_path / "made", device="cpu")
    assert np.array_equal(said(loaded.model, loaded.tokenizer, examples), losses)
    again = adapter_for(loaded.model)
    assert loaded.model.get_output_embeddings().weight is again.word_embedding(loaded.model).weight
    assert torch.equal(again.word_embedding(loaded.model).weight, table.weight)


def test_the_record_says_what_perplexity_is_over(tokenizer):
    examples = [*lines(), Example(uid="odd", text="zzz")]
    found = KIND.conditions(examples, tokenizer, task=TASK, max_length=16)
    assert found["vocabulary"] == len(tokenizer)
    assert found["predicted_tokens"] == said(make("bert", HEAD), tokenizer, examples)[:, 1].sum()
    assert found["unknown_tokens"] == 1
    assert "both of their sides" in found["perplexity"]
    assert found["chosen"].startswith("15% of each text, at least one token; 80% of them masked, 10% random")


def test_a_tokenizer_without_a_mask_token_is_refused():
    with pytest.raises(DataError, match="made: the tokenizer has no mask token"):
        encode(lines(), joint_tokenizer())
