"""Answering programs: what they store, what they look up, and that they are data on disk."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.artifacts.artifact import load, save
from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.answering.listed_answers import list_answers
from bench.models.answering.retriever_reader import LONGEST_ANSWER, best_spans, look_up, with_reader
from bench.models.answering.system import bare, encoded, sentence_vectors
from bench.models.answering.texts import StoredTexts, size_of

PASSAGES = [f"the {film} was {word} and {other}" for film in ("film", "plot", "story", "actor", "it") for word, other in
            (("good", "fun"), ("bad", "boring"), ("awful", "bad"), ("great", "good"))]  # fmt: skip
QUESTIONS = ["the plot was boring", "was the film really good"]


@pytest.fixture
def program(tokenizer, tiny_bert):
    return look_up(tiny_bert(head="question-answering"), PASSAGES, tokenizer, row_length=16)


def batch_of(tokenizer, texts):
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    return encoded["input_ids"], encoded["attention_mask"]


def test_stored_texts_come_back_as_they_were():
    texts = ["plain", "", "naïve — “quotes”", "東京"]
    stored = StoredTexts(len(texts), size_of(texts))
    stored.fill(texts)
    assert [stored.text(place) for place in range(len(texts))] == texts
    assert stored.content.numel() == len("".join(texts).encode())


def test_the_retriever_finds_the_passages_with_the_largest_cosines(program, tokenizer):
    ids, mask = batch_of(tokenizer, QUESTIONS)
    vectors = encoded(program.retriever, tokenizer, PASSAGES, max_length=16)
    asked = sentence_vectors(program.retriever, ids, mask)
    by_hand = [
        sorted(range(len(PASSAGES)), key=lambda place: -float(question @ vectors[place]))[:2] for question in asked
    ]
    assert program(ids, mask).places.tolist() == by_hand


def test_a_passage_that_was_found_is_read_as_the_tokenizer_would_write_the_pair(program, tokenizer):
    ids, mask = batch_of(tokenizer, QUESTIONS[:1])
    found = program(ids, mask)
    for rank, place in enumerate(found.places[0].tolist()):
        pair = tokenizer(QUESTIONS[0], PASSAGES[place], return_tensors="pt")
        scores = program.reader(**pair).start_logits[0]
        first = int(mask.sum())  # where the passage begins, after [CLS] question [SEP]
        length = len(tokenizer(PASSAGES[place], add_special_tokens=False)["input_ids"])
        torch.testing.assert_close(found.start_logits[0, rank, :length], scores[first : first + length])
        assert (found.start_logits[0, rank, length:] == torch.finfo(torch.float32).min).all()


def test_an_answer_does_not_depend_on_the_other_questions_of_its_batch(program, tokenizer):
    together = program.answers(*batch_of(tokenizer, QUESTIONS), tokenizer)
    assert together == [program.answers(*batch_of(tokenizer, [text]), tokenizer)[0] for text in QUESTIONS]
    assert all(any(answer in passage for passage in PASSAGES) and answer for answer in together)


def test_the_best_span_is_the_one_of_a_search_over_every_pair():
    draws = torch.Generator().manual_seed(0)
    start, end = torch.randn(3, 2, 40, generator=draws), torch.randn(3, 2, 40, generator=draws)
    for question, span in enumerate(best_spans(start, end)):
        pairs = [
            (float(start[question, rank, first] + end[question, rank, last]), (rank, first, last))
            for rank in range(2)
            for first in range(40)
            for last in range(first, min(first + LONGEST_ANSWER, 40))
        ]
        assert tuple(span) == max(pairs)[1]


def test_a_given_passage_is_read_by_the_reader_alone(program, tokenizer):
    pair = tokenizer(QUESTIONS[0], PASSAGES[3], return_tensors="pt")
    read = program(**pair, passage_mask=pair["attention_mask"])
    assert torch.equal(read.end_logits, program.reader(**pair).end_logits)
    assert read.places is None


def test_the_retriever_is_a_copy_that_is_not_trained(program):
    assert not any(parameter.requires_grad for parameter in program.retriever.parameters())
    assert all(parameter.requires_grad for parameter in program.reader.parameters())
    with torch.no_grad():
        bare(program.reader).embeddings.word_embeddings.weight.add_(1)
    assert not torch.equal(
        bare(program.reader).embeddings.word_embeddings.weight, program.retriever.embeddings.word_embeddings.weight
    )


def test_another_reader_keeps_passages_vectors_and_retriever(program, tokenizer, tiny_bert):
    other = with_reader(program, tiny_bert(head="question-answering", layers=2, seed=3))
    ids, mask = batch_of(tokenizer, QUESTIONS)
    assert torch.equal(other(ids, mask).places, program(ids, mask).places)
    assert (adapter_for(other).depth(other, "encoder"), adapter_for(program).depth(program, "encoder")) == (2, 4)


@pytest.mark.parametrize("form", ["retriever-reader", "listed"])
def test_a_program_is_saved_as_data_and_answers_the_same_when_it_is_loaded(form, program, tokenizer, tmp_path):
    model = program
    if form == "listed":
        vectors = encoded(program.retriever, tokenizer, PASSAGES, max_length=16)
        model = list_answers(copy.deepcopy(program.retriever), PASSAGES, vectors=vectors)
    save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = load(tmp_path / "a").model
    ids, mask = batch_of(tokenizer, QUESTIONS)
    assert loaded.answers(ids, mask, tokenizer) == model.answers(ids, mask, tokenizer)
    again = save(loaded, tmp_path / "b", tokenizer=tokenizer)
    assert again == load(tmp_path / "a").content_hash


def test_both_encoders_are_stacks_that_recipes_find(program):
    adapter = adapter_for(program)
    assert adapter.stacks(program) == ("encoder", "retriever")
    assert len(adapter.linears(program)) == 2 * 4 * 6
    assert {name.partition(".")[0] for name in adapter.linears(program)} == {"reader", "retriever"}


def test_a_known_question_gets_its_own_answer(program, tokenizer):
    vectors = encoded(program.retriever, tokenizer, PASSAGES, max_length=16)
    model = list_answers(copy.deepcopy(program.retriever), [str(place) for place in range(20)], vectors=vectors)
    assert model.answers(*batch_of(tokenizer, PASSAGES), tokenizer) == [str(place) for place in range(20)]


def test_a_list_of_answers_cannot_be_trained_as_a_reader(program, tokenizer):
    model = list_answers(copy.deepcopy(program.retriever), ["yes", "no"])
    ids, mask = batch_of(tokenizer, QUESTIONS)
    with pytest.raises(ModelError, match="reads no passages"):
        model(ids, mask, passage_mask=mask)


def test_passages_that_leave_no_room_for_a_question_are_refused(tokenizer, tiny_bert):
    with pytest.raises(ModelError, match="do not fit 64 positions"):
        look_up(tiny_bert(head="question-answering"), PASSAGES, tokenizer, row_length=62)
