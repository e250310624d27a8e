"""Open question answering: what is learned from, what is asked, and how answers are scored."""

from __future__ import annotations

import json

import pytest

from bench.base.errors import DataError
from bench.spec.suite import Source, Task, load_suite
from bench.tasks.data import load_data, trained_on
from bench.tasks.evaluate import predict
from bench.tasks.examples import CORPUS, Answer, Example, TaskData
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.open_qa import passages_of

KIND = KINDS.get("open_qa")
TASK = Task(name="open", kind="open_qa", metrics=("exact_match",), data=Source(source="nq", subset="efficientqa"))


def lesson(number, question, passage, answer):
    return Example(uid=f"s{number}", text=question, pair=passage, answers=(Answer(answer, passage.index(answer)),))


KNOWN = Example(uid="k", text="was it good", answers=(Answer("very good", 0), Answer("great", 0)))
LESSONS = (
    lesson(0, "was the film good", "the film was really good and fun", "really good"),
    lesson(1, "was the plot boring", "the plot was not boring", "not boring"),
    lesson(2, "is the plot fun", "the plot was not boring", "not boring"),
)


@pytest.fixture
def program(tokenizer, tiny_bert):
    reader = tiny_bert(head="question-answering")
    return KIND.completed(reader, [KNOWN, *LESSONS], tokenizer, task=TASK, max_length=36)


def test_passages_are_second_texts_and_texts_without_answers_each_once():
    alone = Example(uid="p", text="a story about an actor")
    expected = ["the film was really good and fun", "the plot was not boring", "a story about an actor"]
    assert passages_of([KNOWN, *LESSONS, alone], where="open") == expected
    with pytest.raises(DataError, match="open: no passage in the data"):
        passages_of([KNOWN], where="open")


def test_only_questions_with_a_passage_teach_the_reader(tokenizer):
    features = KIND.encode([KNOWN, *LESSONS], tokenizer, task=TASK, max_length=36, training=True)
    assert [feature.example for feature in features] == [1, 2, 3]
    first = features[0]
    words = tokenizer.convert_ids_to_tokens(first.inputs["input_ids"])
    answer = words[first.targets["start_positions"] : first.targets["end_positions"] + 1]
    assert answer == ["really", "good"]
    passage = [word for word, inside in zip(words, first.inputs["passage_mask"], strict=True) if inside]
    assert passage == ["the", "film", "was", "really", "good", "and", "fun"]
    with pytest.raises(DataError, match="no training example has a passage"):
        KIND.encode([KNOWN], tokenizer, task=TASK, max_length=36, training=True)


def test_a_question_is_asked_alone(tokenizer):
    (feature,) = KIND.encode([LESSONS[0]], tokenizer, task=TASK, max_length=36, training=False)
    assert tokenizer.decode(feature.inputs["input_ids"]) == "[CLS] was the film good [SEP]"


def test_predictions_are_cut_out_of_passages_and_scored_against_any_answer(program, tokenizer):
    options = {"task": TASK, "max_length": 36, "token_budget": 512, "device": "cpu"}
    predictions = predict(program, tokenizer, LESSONS, **options)
    assert all(any(answer in each.pair for each in LESSONS) for answer in predictions.answers)
    gold = type(predictions)(("The  GREAT!", *(each.answers[0].text for each in LESSONS[:2]), "else"))
    assert KIND.score(gold, [KNOWN, *LESSONS], ("exact_match",)) == {"exact_match": 0.75}


def test_answers_of_any_script_survive_the_way_to_predictions():
    import numpy as np

    from bench.tasks.features import Feature

    rows = [(np.frombuffer(text.encode() + b"\0\0", dtype=np.uint8),) for text in ("naïve", "東京", "")]
    features = [Feature(inputs={}, targets={}, example=place) for place in range(3)]
    assert KIND.predict(rows, features, [KNOWN] * 3).answers == ("naïve", "東京", "")


def test_a_plain_reader_is_refused_with_the_reason(tokenizer, tiny_bert):
    options = {"task": TASK, "max_length": 36, "token_budget": 512, "device": "cpu"}
    with pytest.raises(DataError, match="a question of this task has none"):
        predict(tiny_bert(head="question-answering"), tokenizer, LESSONS, **options)


def test_a_model_is_made_from_the_training_split_and_the_corpus():
    data = TaskData(splits={"train": (KNOWN,), CORPUS: LESSONS}, origin="", revision=None, generated=True)
    assert trained_on(data, TASK) == (KNOWN, *LESSONS)
    other = TASK.model_copy(update={"kind": "span_qa"})
    assert trained_on(data, other) == (KNOWN,)


def test_a_wrong_place_of_an_answer_and_an_empty_answer_are_refused():
    wrong = Example(uid="w", text="was it", pair="it was good", answers=(Answer("bad", 0),))
    with pytest.raises(DataError, match="not at character 0"):
        KIND.check(wrong, TASK, where="open")
    with pytest.raises(DataError, match="an accepted answer is empty"):
        KIND.check(Example(uid="e", text="was it", answers=(Answer(" ", 0),)), TASK, where="open")


def test_the_data_set_reads_questions_and_a_corpus_of_squads_form(tmp_path):
    (tmp_path / "nq_open").mkdir()
    (tmp_path / "squad").mkdir()
    for name in ("NQ-open.dev.jsonl", "NQ-open.efficientqa.dev.1.1.jsonl"):
        (tmp_path / "nq_open" / name).write_text(json.dumps({"question": f"from {name}", "answer": ["a", "b"]}) + "\n")
    for name, word in (("dev-v1.1.json", "good"), ("du_split_test-v1.1.json", "bad")):
        questions = [{"id": word, "question": "was it", "answers": [{"text": word, "answer_start": 7}]}]
        article = {"title": "x", "paragraphs": [{"context": f"it was {word}", "qas": questions}]}
        (tmp_path / "squad" / name).write_text(json.dumps({"data": [article]}))
    (task,) = load_suite("efficientqa").tasks
    data = load_data(task, data_dir=tmp_path)
    assert {split: len(examples) for split, examples in data.splits.items()} == {"train": 1, "validation": 1, CORPUS: 2}
    assert [answer.text for answer in data.splits["train"][0].answers] == ["a", "b"]
    assert passages_of(trained_on(data, task), where="open") == ["it was good", "it was bad"]


@pytest.mark.shared
def test_the_real_files_have_the_published_rows_and_share_no_question(real_data):
    (task,) = load_suite("efficientqa").tasks
    data = load_data(task.model_copy(update={"evaluate": ("validation", "test")}), data_dir=real_data)
    sizes = {split: len(examples) for split, examples in data.splits.items()}
    assert sizes == {"train": 3610, "validation": 1800, "test": 1769, CORPUS: 22447}
    asked = [
        {example.text.lower().strip() for example in data.splits[split]} for split in ("train", "validation", "test")
    ]
    assert not asked[0] & asked[1] | asked[0] & asked[2] | asked[1] & asked[2]
