"""What a student of translation is taught on if the teacher writes its targets (Kim and Rush 2016)."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from made_seq2seq import made_marian
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.distill.distill import Distill
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.spec.suite import Source, Task
from bench.tasks.kinds.kind import KINDS

TEXTS = Distill(data="teacher-texts", terms={"labels": 1.0})


@pytest.fixture
def translating(make_lab, tokenizer):
    """A lab whose task is to write the same words again."""

    def make(reference=None, *, examples=6):
        model = made_marian(encoder=2) if reference is None else reference
        lab = make_lab(model, examples=examples)
        task = Task(
            name="words", kind="translation", metrics=("bleu",), data=Source(source="generated", subset="words")
        )
        data = [dataclasses.replace(each, label=None, target=each.text) for each in lab.examples]
        kind = KINDS.get("translation")
        features = kind.encode(data, tokenizer, task=task, max_length=32, training=True)
        return dataclasses.replace(lab, task=task, examples=data, features=features)

    return make


def by_hand(model, tokenizer, text, *, most):
    """The most likely piece after each other, the whole text read again for every one, without a cache."""
    source = tokenizer([text], return_tensors="pt")
    written = [tokenizer.cls_token_id]
    for _ in range(most):
        with torch.no_grad():
            logits = model(
                input_ids=source["input_ids"],
                attention_mask=source["attention_mask"],
                decoder_input_ids=torch.tensor([written]),
            ).logits[0, -1]
        logits[tokenizer.pad_token_id] = float("-inf")
        written.append(int(logits.argmax()))
        if written[-1] == tokenizer.sep_token_id:
            break
    ids = [each for each in written[1:] if each != tokenizer.sep_token_id]
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_targets_are_what_the_reference_writes_greedily(translating, tokenizer):
    lab = translating()
    model = lab.reference
    with torch.no_grad():  # so that texts differ and end
        model.final_logits_bias[0, tokenizer.sep_token_id] += 0.2
    used = TEXTS.data.prepared(model, lab, method=TEXTS).lab
    positions = model.config.max_position_embeddings
    wanted = {}
    for each in lab.examples:
        most = min(positions, len(tokenizer(each.text)["input_ids"]) + 50)
        wanted[each.uid] = by_hand(model, tokenizer, each.text, most=most)
    assert {each.uid: each.target for each in used.examples} == {uid: text for uid, text in wanted.items() if text}
    assert lab.counts["teacher_texts"] == len(used.examples) == len(used.features)
    ids = [tokenizer(each.target, add_special_tokens=False)["input_ids"] for each in used.examples]
    cut = [[*row[:31], tokenizer.sep_token_id] for row in ids]
    assert [feature.targets["labels"] for feature in used.features] == cut
    assert [each.text for each in lab.examples] == [each.target for each in lab.examples]  # the lab's own stay


def test_the_student_learns_them_and_not_the_datas_own(translating):
    lab = translating()
    other = dataclasses.replace(lab, examples=[dataclasses.replace(each, target="good") for each in lab.examples])
    first, second = (TEXTS.compress(each.reference, each) for each in (lab, other))
    assert adapter_for(first).depth(first, "decoder") == 1
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())


def test_a_reference_that_writes_nothing_is_named(translating, tokenizer):
    lab = translating()
    with torch.no_grad():
        lab.reference.final_logits_bias[0, tokenizer.sep_token_id] = 1e4
    with pytest.raises(MethodError, match="writes no text for any of 6 sources"):
        TEXTS.compress(lab.reference, lab)


def test_a_task_without_written_texts_is_refused(make_lab):
    lab = make_lab()
    with pytest.raises(MethodError, match=r"in a classification task no text is written. Use data = 'task'"):
        TEXTS.compress(lab.reference, lab)


def test_another_teacher_that_no_term_asks_is_refused():
    with pytest.raises(ValidationError, match="teacher 'joint' has no effect"):
        Distill(data="teacher-texts", teacher="joint", terms={"labels": 1.0})


@pytest.mark.parametrize("name", ["sequence-distillation", "word-distillation", "sequence-word-distillation"])
def test_every_recipe_trains_a_student_of_half_the_depth(translating, name):
    (method,) = methods_of(load_recipe(name))
    lab = translating()
    student = method.compress(lab.reference, lab)
    adapter = adapter_for(student)
    assert [adapter.depth(student, stack) for stack in ("encoder", "decoder")] == [1, 1]
