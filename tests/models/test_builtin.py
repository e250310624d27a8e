"""The built-in demo model: its size, and a tokenizer that depends on the texts alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from families import same_outputs, same_state, state

from bench import artifact
from bench.errors import ModelError
from bench.models.builtin import SPECIAL, train_tokenizer
from bench.models.source import open_source

TEXTS = ["The film was good.", "the Plot was not good, it was great!", "an actor's story"]


def build(tokenizer, **options):
    settings = {"head": "sequence-classification", "labels": ("no", "yes"), "seed": 0, **options}
    return open_source("demo-bert").build(tokenizer=tokenizer, **settings)


def test_demo_bert_has_the_parameters_of_its_definition():
    tokenizer = open_source("demo-bert").tokenizer(lambda: TEXTS)
    h, f, v, p = 64, 256, len(tokenizer), 128
    layer = 4 * (h * h + h) + (h * f + f) + (f * h + h) + 2 * 2 * h
    expected = (v + p + 2) * h + 2 * h + 4 * layer + (h * h + h) + (2 * h + 2)
    assert sum(parameter.numel() for parameter in build(tokenizer).parameters()) == expected


def test_the_vocabulary_is_special_tokens_characters_and_words_by_count():
    tokenizer = train_tokenizer(TEXTS, size=2000, max_length=16)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    words = Counter({"good": 2, "the": 2, "was": 3})
    words.update(["film", ".", "plot", "not", ",", "it", "great", "!", "an", "actor", "'", "s", "story"])
    characters = Counter()
    for word, count in words.items():
        characters.update({c: n * count for c, n in Counter(word).items()})
    order = [sorted(counter, key=lambda k, c=counter: (-c[k], k)) for counter in (characters, words)]
    assert pieces == [*SPECIAL, *order[0], *(f"##{c}" for c in order[0]), *(w for w in order[1] if len(w) > 1)]


@pytest.mark.parametrize("size", [60, 100, 2000])
def test_the_vocabulary_stays_within_its_size(size):
    texts = [f"word{index} of a text" for index in range(3000)]
    assert len(train_tokenizer(texts, size=size, max_length=16)) <= size


def test_words_that_were_not_seen_are_split_into_known_pieces():
    tokenizer = train_tokenizer(TEXTS, size=2000, max_length=16)
    assert tokenizer.tokenize("GOOD films") == ["good", "film", "##s"]
    assert tokenizer.tokenize("goat ж") == ["g", "##o", "##a", "##t", "[UNK]"]


def test_a_pair_has_token_types_and_long_texts_are_cut_at_the_positions():
    tokenizer = open_source("demo-bert").tokenizer(lambda: TEXTS)
    found = tokenizer("the film", "good")
    assert tokenizer.convert_ids_to_tokens(found["input_ids"]) == ["[CLS]", "the", "film", "[SEP]", "good", "[SEP]"]
    assert found["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert len(tokenizer("the " * 500, truncation=True)["input_ids"]) == 128


def test_texts_without_a_word_are_refused():
    with pytest.raises(ModelError, match="no word"):
        train_tokenizer(["", "  "], size=100, max_length=16)


def test_equal_texts_give_equal_tokenizers_in_whatever_order_they_come():
    one, two = (train_tokenizer(texts, size=90, max_length=16) for texts in (TEXTS, TEXTS[::-1]))
    assert one.backend_tokenizer.to_str() == two.backend_tokenizer.to_str()
    assert one.get_vocab() == two.get_vocab()


def test_weights_depend_on_the_seed_alone():
    tokenizer = train_tokenizer(TEXTS, size=90, max_length=16)
    before = torch.random.get_rng_state()
    one, two, other = build(tokenizer), build(tokenizer, pretrained=False), build(tokenizer, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same_state(one, state(two))
    assert not same_state(one, state(other))


def test_depth_and_head_follow_the_arguments():
    tokenizer = train_tokenizer(TEXTS, size=90, max_length=16)
    assert build(tokenizer, depth=2).config.num_hidden_layers == 2
    assert build(tokenizer, labels=None).config.problem_type == "regression"
    assert build(tokenizer, head="question-answering", labels=None).qa_outputs.out_features == 2
    with pytest.raises(ModelError, match="at least one layer"):
        build(tokenizer, depth=0)
    with pytest.raises(ModelError, match="no head named"):
        build(tokenizer, head="question-answerin")


def test_the_demo_model_survives_saving(tmp_path):
    tokenizer = train_tokenizer(TEXTS, size=90, max_length=16)
    model = build(tokenizer)
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer, made={})
    loaded = artifact.load(tmp_path / "a")
    assert same_outputs(model, loaded.model)
    assert loaded.tokenizer("the film", "ж good").data == tokenizer("the film", "ж good").data


def test_the_fingerprint_is_that_of_the_definition():
    assert open_source("demo-bert").fingerprint() == open_source("demo-bert").fingerprint()
    assert open_source("demo-bert").kind == "builtin"
