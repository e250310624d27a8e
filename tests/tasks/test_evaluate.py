from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from bench.base.errors import DataError, ModelError
from bench.spec.suite import Task
from bench.tasks.evaluate import Evaluator, Remembered, predict
from bench.tasks.examples import Answer, Example, TaskData

WORDS = ("the", "film", "was", "good", "bad", "not", "very", "really", "awful", "great", "boring", "fun", "plot")


def make_task(kind="classification", metrics=("accuracy",)):
    labels = ("bad", "good") if kind == "classification" else ()
    return Task(name="made", kind=kind, labels=labels, metrics=metrics, data={"source": "s", "subset": "t"})


def make_examples(count=40, seed=0):
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(WORDS, size=generator.integers(1, 25))) for _ in range(count)]
    return tuple(Example(uid=f"e{n}", text=text, label=n % 2) for n, text in enumerate(texts))


def sharpened(model):
    """The model with its weight matrices scaled up, so that its outputs differ clearly between examples."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(10)
    return model


def run(model, tokenizer, examples, *, kind="classification", budget=256, max_length=32):
    task = make_task(kind, ("f1",) if kind == "span_qa" else ("accuracy",))
    return predict(model, tokenizer, examples, task=task, max_length=max_length, token_budget=budget, device="cpu")


def loaded(model, tokenizer, name="a"):
    return SimpleNamespace(model=model, tokenizer=tokenizer, content_hash=name)


def evaluator(examples, task=None):
    data = TaskData(splits={"validation": examples}, origin="made", revision=None, generated=True)
    return Evaluator(task=task or make_task(), data=data, max_length=32, token_budget=256, device="cpu")


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("budget", [1, 100, 100000])
def test_predictions_equal_one_unpadded_call_an_example_in_order(kind, budget, tiny_bert, tokenizer):
    import torch

    model, examples = sharpened(tiny_bert(2 if kind == "classification" else 1)), make_examples()
    found = run(model, tokenizer, examples, kind=kind, budget=budget)
    with torch.inference_mode():
        expected = [model(**tokenizer(example.text, return_tensors="pt")).logits[0].numpy() for example in examples]
    values = found.logits if kind == "classification" else found.values[:, None]
    assert np.abs(values - np.array(expected)).max() < 1e-4
    assert values.std(axis=0).min() > 0.1  # the examples can be told apart


def test_span_answers_equal_one_unpadded_call_a_question(tiny_bert, tokenizer):
    import torch

    model = sharpened(tiny_bert(head="question-answering"))
    examples = [
        Example(uid=e.uid, text="the actor is", pair=e.text, answers=(Answer(e.text, 0),)) for e in make_examples()
    ]
    found = run(model, tokenizer, examples, kind="span_qa", budget=90)
    alone = [run(model, tokenizer, [example], kind="span_qa").answers[0] for example in examples]
    assert found.answers == tuple(alone)
    with torch.inference_mode():
        inputs = tokenizer(examples[3].text, examples[3].pair, return_tensors="pt")
        outputs = model(**inputs)
    start, end = outputs.start_logits[0], outputs.end_logits[0]
    last = inputs["input_ids"].shape[1] - 1
    pairs = [(float(start[a] + end[b]), a, b) for a in range(5, last) for b in range(a, last)]
    _, first, final = max(pairs)
    assert found.answers[3] == " ".join(tokenizer.convert_ids_to_tokens(inputs["input_ids"][0, first : final + 1]))


def test_padding_stays_small(tiny_bert, tokenizer):
    model, examples, seen = tiny_bert(), make_examples(400), []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["attention_mask"]), with_kwargs=True
    )
    run(model, tokenizer, examples, budget=512)
    real, padded = sum(int(mask.sum()) for mask in seen), sum(mask.numel() for mask in seen)
    assert padded < 1.1 * real  # in the given order it would be about 1.8
    assert max(mask.numel() for mask in seen) <= 512


def test_predicting_leaves_the_model_and_its_training_mode_as_they_were(tiny_bert, tokenizer):
    model, examples = tiny_bert(), make_examples(5)
    expected = run(model, tokenizer, examples).logits
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    again = run(model, tokenizer, examples).logits
    assert model.training
    assert np.array_equal(expected, again)  # dropout was off all the same
    assert all((value == before[name]).all() for name, value in model.state_dict().items())


def test_outputs_that_are_not_finite_are_refused(tiny_bert, tokenizer):
    import torch

    model = tiny_bert()
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not a finite number for 5 of 5"):
        run(model, tokenizer, make_examples(5))


def test_more_tokens_than_positions_are_refused_with_the_limit(tiny_bert, tokenizer):
    long = (Example(uid="long", text="good " * 80, label=1),)
    with pytest.raises(ModelError, match="82 tokens, but the model has only 64 positions"):
        run(tiny_bert(), tokenizer, long, max_length=128)
    assert len(run(tiny_bert(), tokenizer, long, max_length=64).logits) == 1


def test_no_examples_are_refused(tiny_bert, tokenizer):
    with pytest.raises(DataError, match="no examples"):
        run(tiny_bert(), tokenizer, ())


def test_a_prediction_is_made_once_per_model_split_and_limit(tiny_bert, tokenizer):
    model, calls = tiny_bert(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    ours = evaluator(make_examples(8))
    first = ours.predict(loaded(model, tokenizer), "validation")
    made, spent = len(calls), ours.seconds
    assert ours.predict(loaded(model, tokenizer), "validation") is first
    assert (len(calls), ours.seconds) == (made, spent)
    assert spent > 0
    ours.predict(loaded(model, tokenizer, "b"), "validation")
    assert len(calls) == 2 * made
    assert ours.seconds > spent


def test_a_limit_takes_the_first_examples(tiny_bert, tokenizer):
    ours, model = evaluator(make_examples(8)), loaded(sharpened(tiny_bert()), tokenizer)
    whole, part = ours.predict(model, "validation"), ours.predict(model, "validation", limit=3)
    assert np.allclose(part.logits, whole.logits[:3], atol=1e-4)


def test_the_score_is_that_of_the_predictions_on_the_split(tiny_bert, tokenizer):
    examples = make_examples(30)
    ours, model = evaluator(examples), loaded(sharpened(tiny_bert()), tokenizer)
    classes = ours.predict(model, "validation").logits.argmax(axis=1)
    expected = np.mean([example.label == label for example, label in zip(examples, classes, strict=True)])
    assert ours.score(model, "validation") == {"accuracy": pytest.approx(expected)}


def test_hidden_labels_predict_but_do_not_score(tiny_bert, tokenizer):
    hidden = tuple(Example(uid=e.uid, text=e.text) for e in make_examples(4))
    ours, model = evaluator(hidden), loaded(tiny_bert(), tokenizer)
    assert len(ours.predict(model, "validation").logits) == 4
    with pytest.raises(DataError, match="labels of 4 of 4 examples are hidden"):
        ours.score(model, "validation")


def test_an_unknown_split_is_refused_with_those_there_are(tiny_bert, tokenizer):
    with pytest.raises(DataError, match=r"no split 'test'. Found: validation"):
        evaluator(make_examples(4)).score(loaded(tiny_bert(), tokenizer), "test")


def test_what_is_remembered_of_a_model_serves_another_evaluator_through_json(tiny_bert, tokenizer):
    examples = make_examples(6)
    first = evaluator(examples)
    model = loaded(tiny_bert(), tokenizer)
    said = first.predict(model, "validation")
    first.predict(loaded(tiny_bert(seed=1), tokenizer, "b"), "validation")
    counted = first.remember(("a", "layers", "validation"), lambda: {4: 6}, form=dict[int, int])
    known = [Remembered(*each) for each in json.loads(json.dumps(first.known("a")))]
    assert {tuple(each.key) for each in known} == {
        ("a", "predictions", "validation", None),
        ("a", "layers", "validation"),
    }
    second = Evaluator(task=make_task(), data=first.data, max_length=32, token_budget=256, device="cpu", known=known)
    again = second.predict(loaded(None, None, "a"), "validation")  # nothing is asked of the model
    assert np.array_equal(again.logits, said.logits)
    assert second.remember(("a", "layers", "validation"), dict, form=dict[int, int]) == counted
    assert sorted(second.known("a")) == sorted(first.known("a"))
