"""The built-in demo model: its size, and a tokenizer that depends on the texts alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from families import same_outputs, same_state, state

from bench.artifacts import artifact
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.wordpieces import SPECIAL, train_tokenizer

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
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a")
    assert same_outputs(model, loaded.model)
    assert loaded.tokenizer("the film", "ж good").data == tokenizer("the film", "ж good").data


def test_the_fingerprint_is_that_of_the_definition():
    assert open_source("demo-bert").fingerprint() == open_source("demo-bert").fingerprint()
    assert open_source("demo-bert").kind == "builtin"


TEXT = ["Ein Hund läuft über die Straße.", "A dog runs across the road.", "Zwei Katzen schlafen.", "Two cats sleep."]
HEADS = {
    "transformer": "translation",
    "lstm": "causal-language-modelling",
    "lstm-seq2seq": "translation",
    "bilstm": "sequence-classification",
}


def build_text(name, **options):
    source = open_source(name)
    tokenizer = source.tokenizer(lambda: TEXT)
    settings = {"labels": ("no", "yes"), "seed": 0, "head": HEADS[name.partition("-")[2]], **options}
    return tokenizer, source.build(tokenizer=tokenizer, **settings)


@pytest.mark.parametrize(
    ("name", "width"), [("demo-transformer", 64), ("small-transformer", 256), ("deep-transformer", 64)]
)
def test_a_built_in_transformer_has_the_parameters_of_its_definition(name, width):
    tokenizer, model = build_text(name)
    layers, h, f = {"demo": 2, "small": 3, "deep": 4}[name.partition("-")[0]], width, 4 * width
    attention, ffn, norm = 4 * (h * h + h), 2 * h * f + f + h, 2 * h
    expected = layers * (attention + ffn + 2 * norm) + layers * (2 * attention + ffn + 3 * norm)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == expected + len(tokenizer) * h
    assert sum(p.numel() for p in model.parameters()) - trained == 2 * 128 * h  # sinusoids


@pytest.mark.parametrize(("name", "h"), [("demo-lstm", 64), ("small-lstm", 256)])
def test_a_built_in_language_model_has_the_parameters_of_its_definition(name, h):
    tokenizer, model = build_text(name)
    v = len(tokenizer)
    assert sum(p.numel() for p in model.parameters()) == v * h + 2 * (8 * h * h + 4 * h) + (v * h + v)


@pytest.mark.parametrize(("name", "h"), [("demo-lstm-seq2seq", 64), ("small-lstm-seq2seq", 256)])
def test_a_built_in_lstm_translator_has_the_parameters_of_its_definition(name, h):
    tokenizer, model = build_text(name)
    v = len(tokenizer)
    assert sum(p.numel() for p in model.parameters()) == v * h + v + 4 * (8 * h * h + 4 * h) + 3 * h * h


@pytest.mark.parametrize(("name", "h"), [("demo-bilstm", 32), ("small-bilstm", 256)])
def test_a_built_in_bilstm_has_the_parameters_of_its_definition(name, h):
    tokenizer, model = build_text(name)
    expected = len(tokenizer) * h + 2 * 2 * (8 * h * h + 4 * h) + (3 + 1) + (2 * 2 * h + 2)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("name", ["demo-transformer", "demo-lstm", "demo-lstm-seq2seq", "demo-bilstm"])
def test_the_configuration_knows_the_tokenizers_special_tokens_and_depth(name):
    tokenizer, model = build_text(name, depth=1)
    adapter = adapter_for(model)
    assert {adapter.depth(model, stack) for stack in adapter.stacks(model)} == {1}
    assert model.config.pad_token_id == tokenizer.pad_token_id
    if name != "demo-bilstm":
        assert model.config.eos_token_id == tokenizer.eos_token_id
        assert tokenizer.decode(tokenizer("Ein Hund.")["input_ids"], skip_special_tokens=True) == "Ein Hund."
    if HEADS[name.partition("-")[2]] == "translation":
        assert model.config.decoder_start_token_id == tokenizer.bos_token_id
        assert not model.config.use_cache


def test_a_built_in_encoder_becomes_both_halves_of_a_translator():
    tokenizer = train_tokenizer(TEXTS, size=90, max_length=16)
    model = build(tokenizer, head="translation", labels=None)
    adapter = adapter_for(model)
    assert [adapter.depth(model, stack) for stack in adapter.stacks(model)] == [4, 4]
    assert model.config.decoder_start_token_id == tokenizer.cls_token_id


def test_a_head_that_the_architecture_lacks_is_refused():
    with pytest.raises(ModelError, match="'bench-lstm-lm' has no sequence-classification head"):
        build_text("demo-lstm", head="sequence-classification")
