"""Programs without passages: the nearest known question, and a classifier over frequent answers."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from bench.base.errors import MethodError
from bench.methods.answer.answer import ClosedBook, NearestQuestion
from bench.methods.prune.prune import Prune
from bench.methods.quantize.quantize import Quantize
from bench.models.answering.retriever_reader import look_up
from bench.spec.suite import Source, Task
from bench.tasks.evaluate import predict
from bench.tasks.examples import Answer, Example
from bench.tasks.kinds.kind import KINDS

TASK = Task(name="open", kind="open_qa", metrics=("exact_match",), data=Source(source="nq", subset="efficientqa"))
PASSAGES = [f"the {film} was {word}" for film in ("film", "plot", "story", "actor", "it") for word in
            ("good", "bad", "awful", "great")]  # fmt: skip
KNOWN = [
    Example(uid=str(place), text=f"was {passage}", answers=(Answer(passage.split()[-1], 0), Answer("fun", 0)))
    for place, passage in enumerate(PASSAGES)
]


@pytest.fixture
def program(tokenizer, tiny_bert):
    return look_up(tiny_bert(head="question-answering"), PASSAGES, tokenizer, row_length=16)


@pytest.fixture
def lab(make_lab, program):
    made = make_lab(program)
    kind = KINDS.get("open_qa")
    lessons = [
        Example(uid=f"s{place}", text="was it", pair=text, answers=(Answer("was", text.index("was")),))
        for place, text in enumerate(PASSAGES)
    ]
    features = kind.encode(lessons, made.tokenizer, task=TASK, max_length=32, training=True)
    return dataclasses.replace(made, task=TASK, examples=KNOWN, features=features)


def answers(model, tokenizer, questions):
    options = {"task": TASK, "max_length": 32, "token_budget": 512, "device": "cpu"}
    return predict(model, tokenizer, questions, **options).answers


EACH = {"nearest-question": NearestQuestion(), "closed-book": ClosedBook(answers=4, epochs=2)}


@pytest.mark.parametrize("name", EACH)
def test_making_a_program_leaves_the_given_one_bit_equal_and_gives_the_same_result_again(name, program, lab, state_of):
    before = state_of(program)
    first, second = (state_of(EACH[name].compress(program, lab)) for _ in range(2))
    assert all(torch.equal(tensor, before[key]) for key, tensor in program.state_dict().items())
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_a_known_question_is_answered_as_it_is_known_to_be(program, lab, tokenizer):
    made = NearestQuestion().compress(program, lab)
    assert answers(made, tokenizer, KNOWN) == tuple(example.answers[0].text for example in KNOWN)
    fewer = NearestQuestion(questions=1).compress(program, lab)
    assert set(answers(fewer, tokenizer, KNOWN)) == {"good"}


def test_a_closed_book_chooses_the_most_frequent_answer_before_it_has_learned_and_learns_from_questions(
    program, lab, tokenizer
):
    frequent = ClosedBook(answers=5, epochs=0.01, learning_rate=1e-9).compress(program, lab)
    assert set(answers(frequent, tokenizer, KNOWN)) == {"fun"}  # which every question has among its answers
    lessons = [dataclasses.replace(example, answers=example.answers[:1]) for example in KNOWN]
    lab = dataclasses.replace(lab, examples=lessons)
    learned = ClosedBook(epochs=60, learning_rate=3e-3).compress(program, lab)
    right = [
        said == example.answers[0].text for said, example in zip(answers(learned, tokenizer, KNOWN), KNOWN, strict=True)
    ]
    assert sum(right) > 15


def test_an_answer_outside_the_list_is_never_given(program, lab, tokenizer):
    made = ClosedBook(answers=2, epochs=1).compress(program, lab)
    assert made.config.count == 2
    assert set(answers(made, tokenizer, KNOWN)) <= {"fun", "good"}


@pytest.mark.parametrize("method", [Quantize(), Prune(sparsity=0.5, budget=0)])
def test_compression_applies_to_every_encoder_of_every_program(method, program, lab, tokenizer):
    for model in (program, NearestQuestion().compress(program, lab)):
        made = method.compress(model, lab)
        assert len(answers(made, tokenizer, KNOWN)) == len(KNOWN)
        for stack in ("reader.", "retriever.") if model is program else ("encoder.",):
            changed = [
                name
                for name, tensor in made.state_dict().items()
                if name.startswith(stack) and not torch.equal(tensor, model.state_dict().get(name, torch.empty(0)))
            ]
            assert changed


def test_models_of_other_tasks_and_questions_without_answers_are_refused(program, lab, tiny_bert):
    for method in EACH.values():
        with pytest.raises(MethodError, match="does not answer open questions"):
            method.compress(tiny_bert(), lab)
        unknown = dataclasses.replace(lab, examples=[Example(uid="u", text="was it good")])
        with pytest.raises(MethodError, match="no training question has an answer"):
            method.compress(program, unknown)
    same = dataclasses.replace(lab, examples=[Example(uid="u", text="was it", answers=(Answer("yes", 0),))])
    with pytest.raises(MethodError, match="have one answer only, 'yes'"):
        ClosedBook().compress(program, same)
