"""What words may become, against a masked model run word by word and cosines computed by hand."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES, make

from bench.base.errors import TrainingError
from bench.tasks.wording.words import whole_words
from bench.training.replacements import replacements


@pytest.fixture(scope="module")
def pieces():
    """A WordPiece tokenizer that knows some words whole and others in pieces."""
    from bench.models.wordpieces import train_tokenizer

    texts = ["the good film was bad", "a great plot and a boring story"]
    return train_tokenizer(texts, size=400, max_length=32)


@pytest.fixture(scope="module")
def masked_model(pieces):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertForMaskedLM(config).eval()


def offered(tokenizer):
    """The ids of the words that may be offered, by word."""
    special = set(tokenizer.all_special_tokens)
    return whole_words({token: row for token, row in tokenizer.get_vocab().items() if token not in special})


def every(texts):
    """All places of all texts."""
    return {text: range(len(text.split())) for text in texts}


def test_only_words_that_are_wanted_are_looked_up(pieces, masked_model):
    found = replacements(masked_model, {"the good film": [2], "a plot": [0]}, pieces, count=3, max_length=16)
    assert found.candidates.keys() == {("the good film", 2), ("a plot", 0)}


def test_a_word_of_one_token_becomes_what_the_masked_model_deems_most_probable(pieces, masked_model):
    texts = ["the good film was bad", "a great plot"]
    found = replacements(masked_model, every(texts), pieces, count=3, max_length=16)
    words = offered(pieces)
    for text in texts:
        for place, _ in enumerate(text.split()):
            ids = pieces(text, return_tensors="pt")
            ids["input_ids"][0, place + 1] = pieces.mask_token_id
            with torch.no_grad():
                logits = masked_model(**ids).logits[0, place + 1]
            expected = sorted(words, key=lambda word: -float(logits[words[word]]))[:3]
            assert list(found.candidates[text, place]) == expected
    assert (found.by_model, found.by_neighbours) == (8, 0)


def test_other_words_become_the_nearest_words_of_the_embeddings(pieces, masked_model):
    text = "filmy the"
    assert len(pieces.tokenize("filmy")) > 1
    table = masked_model.get_input_embeddings().weight.detach()
    mean = table[pieces(text, add_special_tokens=False)["input_ids"][:-1]].mean(dim=0)
    words = offered(pieces)
    near = sorted(words, key=lambda word: -float(torch.cosine_similarity(table[words[word]], mean, dim=0)))
    found = replacements(masked_model, every([text]), pieces, count=4, max_length=16)
    assert list(found.candidates[text, 0]) == near[:4]
    assert (found.by_model, found.by_neighbours) == (1, 1)


def test_by_neighbours_alone_a_word_is_not_its_own_neighbour_and_no_masked_model_is_needed(pieces, masked_model):
    found = replacements(masked_model.bert, every(["good film"]), pieces, count=5, max_length=16, by_model=False)
    assert [len(each) for each in found.candidates.values()] == [5, 5]
    assert "good" not in found.candidates["good film", 0]
    assert (found.by_model, found.by_neighbours) == (0, 2)


def test_numbers_and_words_that_were_cut_off_stay(pieces, masked_model):
    text = "good 1984 film, was bad"
    found = replacements(masked_model, every([text]), pieces, count=2, max_length=4 + len(pieces.tokenize("1984")))
    assert found.candidates.keys() == {(text, 0), (text, 2)}


def test_without_a_mask_token_it_says_so(pieces, masked_model):
    import copy

    maskless = copy.deepcopy(pieces)
    maskless.mask_token = None
    with pytest.raises(TrainingError, match="no mask token"):
        replacements(masked_model, {"good": [0]}, maskless, count=2, max_length=16)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_reads_the_masked_place_alone_in_every_architecture(family, tokenizer):
    model = make(family, "masked-language-modelling")
    texts = ["the film was good", "a really awful boring plot", "fun"]
    found = replacements(model, every(texts), tokenizer, count=2, max_length=16)
    words = offered(tokenizer)
    for text in texts:
        for place, _ in enumerate(text.split()):
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            ids[0, place + 1] = tokenizer.mask_token_id
            with torch.no_grad():
                logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, place + 1]
            assert found.candidates[text, place] == tuple(
                sorted(words, key=lambda word: -float(logits[words[word]]))[:2]
            )
