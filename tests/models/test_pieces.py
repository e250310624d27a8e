"""The tokenizer of generated text: what it decodes is what was encoded, and equal texts give equal tokenizers."""

from __future__ import annotations

import pytest

from bench.base.errors import ModelError
from bench.models.pieces import SPECIAL, train_text_tokenizer
from bench.models.tokenizer import read_tokenizer, write_tokenizer

TEXTS = [
    "Zwei Männer bauen eine blaue Eisfischerhütte auf einem zugefrorenen See.",
    "Two men are setting up a blue ice-fishing hut (on an iced-over lake), aren't they?",
    'Ein "großer" Hund läuft; 3.14 Äpfel kosten 5 €!',
    "A man in an orange hat is starring at something.",
    "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt.",
]


def trained(size=300, texts=TEXTS):
    return train_text_tokenizer(texts, size=size, max_length=64)


@pytest.mark.parametrize("size", [90, 150, 400])
@pytest.mark.parametrize("text", [*TEXTS, "Hut auf Hund", "blau", "A.E , c !", "(men) Mann's 5!"])
def test_decoding_gives_the_text_back(size, text):
    tokenizer = trained(size)
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_white_space_becomes_single():
    tokenizer = trained()
    ids = tokenizer("  Two \t men\nare  ")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Two men are"


def test_a_text_ends_with_the_end_token_alone():
    tokenizer = trained()
    ids = tokenizer("Two men")["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    assert set(ids[:-1]).isdisjoint(tokenizer.all_special_ids)
    assert [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL.values()] == [0, 1, 2, 3]
    assert [tokenizer.pad_token, tokenizer.unk_token, tokenizer.bos_token, tokenizer.eos_token] == list(
        SPECIAL.values()
    )


def test_unknown_characters_become_one_unknown_token_and_the_rest_stays():
    tokenizer = trained()
    ids = tokenizer("Two жж men")["input_ids"]
    assert tokenizer.unk_token_id in ids
    assert tokenizer.decode(ids, skip_special_tokens=True).split() == ["Two", "men"]


def test_frequent_words_are_one_piece_and_rare_ones_are_split():
    tokenizer = trained(150, ["the cat sat"] * 50 + ["the unfathomable"])
    assert tokenizer.tokenize("the cat") == ["▁the", "▁cat"]
    assert len(tokenizer.tokenize("sat unfathom")) > 2


@pytest.mark.parametrize("size", [20, 60, 1000])
def test_the_vocabulary_stays_within_its_size(size):
    assert len(trained(size)) <= size


def test_equal_texts_give_equal_tokenizers_in_whatever_order_they_come():
    one, two = trained(), trained(texts=TEXTS[::-1])
    assert one.backend_tokenizer.to_str() == two.backend_tokenizer.to_str()


def test_it_survives_saving(tmp_path):
    tokenizer = trained()
    write_tokenizer(tokenizer, tmp_path)
    loaded = read_tokenizer(tmp_path)
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert loaded(text)["input_ids"] == ids
        assert loaded.decode(ids, skip_special_tokens=True) == text
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (2, 3, 0)


def test_texts_without_a_word_and_vocabularies_without_room_are_refused():
    with pytest.raises(ModelError, match="no word"):
        trained(texts=["", " "])
    with pytest.raises(ModelError, match="no room"):
        trained(4)
