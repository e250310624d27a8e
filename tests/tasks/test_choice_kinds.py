"""Kinds with candidates: what is read, what is learned and what is said, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_terms import guided, softened

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.batching import collate, length_batches
from bench.tasks.evaluate import predict
from bench.tasks.examples import Answer, Example
from bench.tasks.features import Batch, Feature, as_rows
from bench.tasks.kinds.kind import KINDS
from bench.tasks.predictions import ChosenAnswers, ClassLogits
from bench.training.terms.teacher import Teacher

LOWEST = torch.finfo(torch.float32).min
PAIRS = {
    "multiple_choice": [((2, 0)), ((3, 2)), ((2, 1))],
    "cloze": [((2, 0)), ((4, 2)), ((3, 1))],
    "several_choices": [((2, (0, 1))), ((1, ())), ((4, (2,)))],
}
WORDS = ("good", "bad", "great", "awful")


def task_of(kind):
    metrics = {"multiple_choice": ("accuracy",)}.get(kind, ("f1", "exact_match"))
    return Task(name="made", kind=kind, metrics=metrics, data={"source": "s", "subset": "t"})


def made(kind):
    """Three examples with different numbers of candidates."""
    return [
        Example(uid=f"q{row}", text="the film was " + "very " * row, choices=WORDS[:count], label=label)
        for row, (count, label) in enumerate(PAIRS[kind])
    ]


def encoded(kind, tokenizer, *, examples=None, training=True, max_length=16):
    given = made(kind) if examples is None else examples
    return KINDS.get(kind).encode(given, tokenizer, task=task_of(kind), max_length=max_length, training=training)


def test_each_candidate_is_read_beside_the_text(tokenizer):
    (feature,) = encoded("multiple_choice", tokenizer, examples=made("multiple_choice")[:1])
    read = [tokenizer.convert_ids_to_tokens(ids) for ids in feature.inputs["input_ids"]]
    text = ["[CLS]", "the", "film", "was", "[SEP]"]
    assert read == [[*text, "good", "[SEP]"], [*text, "bad", "[SEP]"]]
    assert (feature.candidates, feature.longest, feature.tokens) == (2, 7, 14)


@pytest.mark.parametrize(
    ("pair", "second"),
    [("it is", "it is good"), ("the @placeholder plot", "the good plot"), (None, "good")],
)
def test_a_candidate_follows_the_second_text_or_fills_its_gap(tokenizer, pair, second):
    example = Example(uid="x", text="film", pair=pair, choices=("good",), label=())
    (feature,) = encoded("several_choices", tokenizer, examples=[example])
    tokens = tokenizer.convert_ids_to_tokens(feature.inputs["input_ids"][0])
    assert tokens == ["[CLS]", "film", "[SEP]", *second.split(), "[SEP]"]


def test_a_batch_has_the_candidates_of_all_its_examples_one_after_the_other(tokenizer):
    features = encoded("several_choices", tokenizer)
    batch = collate(features, pad_id=0, rows=[2, 0])
    assert batch.groups == (4, 2)
    assert batch.rows == [2, 0]
    longest = max(len(ids) for ids in features[2].inputs["input_ids"])
    assert batch.inputs["input_ids"].shape == (6, longest)
    expected = features[0].inputs["input_ids"][1]
    assert batch.inputs["input_ids"][5].tolist() == expected + [0] * (longest - len(expected))
    assert batch.targets["labels"].tolist() == [[0, 0, 1, 0], [1, 1, -100, -100]]
    alone = batch.alone(1)
    assert (alone.groups, alone.rows) == ((2,), [0])
    assert torch.equal(alone.inputs["input_ids"], batch.inputs["input_ids"][4:])


def test_batches_count_the_tokens_of_all_candidates():
    features = [Feature(inputs={"input_ids": [[1] * 4] * count}, targets={}, example=0) for count in (5, 1, 2)]
    lengths = [feature.tokens for feature in features]
    assert lengths == [20, 4, 8]
    assert length_batches(lengths, budget_tokens=16) == [[0], [2, 1]]


def test_candidates_and_single_inputs_do_not_mix():
    one, many = (Feature(inputs={"input_ids": ids}, targets={}, example=0) for ids in ([1, 2], [[1], [2]]))
    with pytest.raises(ValueError, match="some features of the batch have candidates"):
        collate([one, many], pad_id=0)


def test_rows_of_candidates_are_filled_up_with_the_lowest_number():
    rows = as_rows(torch.tensor([1.0, 2.0, 3.0]), (1, 2))
    assert rows.tolist() == [[1.0, LOWEST], [2.0, 3.0]]
    assert rows.softmax(dim=1)[0].tolist() == [1.0, 0.0]
    assert as_rows(torch.arange(6.0).reshape(3, 2), (2, 1)).shape == (2, 2, 2)


def test_the_loss_of_one_right_choice_is_cross_entropy_over_the_candidates():
    scores = torch.tensor([[0.5], [2.0], [1.0], [-1.0], [0.0]])
    targets = {"right": torch.tensor([[0, 1, -100], [1, 0, 0]])}
    loss = KINDS.get("multiple_choice").loss(SimpleNamespace(logits=scores), targets)
    by_hand = [np.log(np.exp(0.5) + np.exp(2.0)) - 2.0, np.log(np.exp(1.0) + np.exp(-1.0) + 1.0) - 1.0]
    assert loss.item() == pytest.approx(np.mean(by_hand), rel=1e-6)


def test_any_of_the_right_answers_of_a_cloze_will_do():
    scores = torch.tensor([[1.0], [2.0], [3.0]]).requires_grad_()
    loss = KINDS.get("cloze").loss(SimpleNamespace(logits=scores), {"right": torch.tensor([[1, 0, 1]])})
    weights = np.exp([1.0, 2.0, 3.0])
    assert loss.item() == pytest.approx(-np.log((weights[0] + weights[2]) / weights.sum()), rel=1e-6)
    loss.backward()
    assert torch.isfinite(scores.grad).all()


def test_the_loss_of_several_choices_is_a_mean_over_all_candidates():
    odds = torch.tensor([[0.5], [-2.0], [1.0]])
    loss = KINDS.get("several_choices").loss(
        SimpleNamespace(logits=odds), {"labels": torch.tensor([[1, 0], [0, -100]])}
    )
    by_hand = [np.log1p(np.exp(-0.5)), np.log1p(np.exp(-2.0)), np.log1p(np.exp(1.0))]
    assert loss.item() == pytest.approx(np.mean(by_hand), rel=1e-6)


@pytest.mark.parametrize("kind", PAIRS)
def test_what_a_model_says_of_an_example_does_not_depend_on_the_others(kind, tokenizer, tiny_bert):
    model, examples = tiny_bert(1), made(kind)
    options = {"task": task_of(kind), "max_length": 16, "device": "cpu"}
    together = predict(model, tokenizer, examples, token_budget=1000, **options).stored()
    alone = [predict(model, tokenizer, [each], token_budget=7, **options).stored()[0] for each in examples]
    for example, said, by_itself in zip(examples, together, alone, strict=True):
        count = len(example.choices)
        numbers = [next(iter(each.values())) if kind == "several_choices" else each for each in (said, by_itself)]
        numbers = [each["scores"] if kind == "cloze" else each for each in numbers]
        assert numbers[0][:count] == pytest.approx(numbers[1][:count], abs=1e-5)


def test_a_missing_choice_is_never_predicted_and_has_no_probability():
    from scipy.special import softmax

    said = ClassLogits.read([[-5.0, -7.0], [1.0, 2.0, 3.0]])
    assert said.classes.tolist() == [0, 2]
    assert softmax(said.logits, axis=1)[0, 2] == 0
    again = ClassLogits.joined([said, ClassLogits.read([[1.0, 2.0]])])
    assert again.logits.shape == (3, 3)
    other = ClassLogits.read([[5.0, -7.0], [1.0, 2.0, 3.5]])
    assert said.agreement(said)["fidelity_kl"] == 0
    assert np.isfinite([said.agreement(other)[name] for name in ("fidelity_kl", "probability_loyalty")]).all()


def test_the_answer_of_a_cloze_is_its_best_candidate_in_words():
    kind = KINDS.get("cloze")
    examples = [
        Example(uid="a", text="t", choices=("The film", "plot"), answers=(Answer("film", 0), Answer("it", 9))),
        Example(uid="b", text="t", choices=("actor", "story", "plot"), label=(1, 2)),
    ]
    assert [kind.right(each) for each in examples] == [(0,), (1, 2)]
    said = kind.said([np.array([3.0, 1.0]), np.array([2.0, 1.0, 0.0])], examples)
    assert said == ChosenAnswers(("The film", "actor"), ((3.0, 1.0), (2.0, 1.0, 0.0)))
    assert kind.score(said, examples, ["exact_match", "f1"]) == {"exact_match": 0.5, "f1": 0.5}
    assert ChosenAnswers.read(said.stored()) == said
    assert said.agreement(said)["probability_loyalty"] == pytest.approx(1.0)
    with pytest.raises(DataError, match="example c: none of its choices equals one of its answers"):
        kind.right(Example(uid="c", text="t", choices=("a film", "plot"), answers=(Answer("story", 0),)))


@pytest.mark.parametrize("kind", PAIRS)
def test_a_clone_of_the_teacher_has_no_distillation_loss_and_remembered_outputs_fit_other_batches(
    kind, tokenizer, tiny_bert
):
    handler, features, teacher, other = KINDS.get(kind), encoded(kind, tokenizer), tiny_bert(1), tiny_bert(1, seed=1)
    other.classifier.weight.data *= 1000  # a fresh head gives all candidates nearly the same score
    term = guided(softened(0.5), teacher)
    whole = collate(features, pad_id=0)
    for _ in range(2):  # the second time from memory
        assert term.loss(teacher, whole, teacher(**whole.inputs), handler).item() == pytest.approx(0.0, abs=1e-6)
    part = collate(features, pad_id=0, rows=[2, 0])
    outputs = other(**part.inputs)
    remembered = term.loss(other, part, outputs, handler)
    computed = guided(softened(0.5), teacher).loss(other, part, outputs, handler)
    assert remembered.item() == pytest.approx(computed.item(), rel=1e-4)
    assert computed.item() > 1e-7
    computed.backward()
    assert all(torch.isfinite(each.grad).all() for each in other.parameters() if each.grad is not None)


def test_the_weight_of_an_example_counts_for_the_states_of_each_of_its_candidates(tokenizer, tiny_bert):
    handler, features = KINDS.get("multiple_choice"), encoded("multiple_choice", tokenizer)
    teacher, student = tiny_bert(1), tiny_bert(1, seed=1)
    teacher.classifier.weight.data *= 1000
    batch = collate(features, pad_id=0)
    term = {"hidden": {"map": "top", "by": "uncertainty"}}
    found = guided(term, teacher).loss(student, batch, student(**batch.inputs), handler)
    with torch.no_grad():
        told = teacher(**batch.inputs, output_hidden_states=True)
        mine = student(**batch.inputs, output_hidden_states=True)
    shares = [scores.softmax(0) for scores in told.logits.squeeze(1).split(list(batch.groups))]
    weights = [-(each * each.log()).sum() / np.log(len(each)) for each in shares]
    each = torch.stack([weight for weight, count in zip(weights, batch.groups, strict=True) for _ in range(count)])
    real = batch.inputs["attention_mask"].float()
    squares = (mine.hidden_states[-1] - told.hidden_states[-1]).square().mean(-1)
    by_hand = (squares * real * each[:, None]).sum() / real.sum()
    assert found.item() == pytest.approx(by_hand.item(), rel=1e-4)


def test_a_judged_choice_is_distilled_as_a_distribution_of_its_own():
    teacher, student = torch.tensor([[1.0], [-2.0], [0.5]]), torch.tensor([[0.0], [1.0], [0.5]])
    handler = KINDS.get("several_choices")
    batch = Batch({"input_ids": torch.zeros(3, 1)}, {"labels": torch.tensor([[1, 0], [1, -100]])}, [0, 1], (2, 1))
    model = SimpleNamespace(__call__=None)
    told = Teacher(lambda **inputs: SimpleNamespace(logits=teacher))
    found = guided({"logits": 1.0}, told).loss(model, batch, SimpleNamespace(logits=student), handler)
    p, q = (1 / (1 + np.exp(-each.numpy().ravel())) for each in (teacher, student))
    by_hand = np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    assert found.item() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "example", "says"),
    [
        ("multiple_choice", {"choices": ("a",), "label": 0}, "found 1 choices, expected at least 2"),
        ("multiple_choice", {"choices": ("a", "b"), "label": 2}, "2 is not the index of a choice, 0 to 1"),
        ("multiple_choice", {"choices": ("a", "b"), "label": (0, 1)}, "use kind = 'several_choices', or 'cloze'"),
        ("several_choices", {"choices": ("a", "b"), "label": (0, 5)}, "5 is not the index of a choice"),
        ("several_choices", {"label": ()}, "found 0 choices, expected at least 1"),
    ],
)
def test_an_example_that_does_not_fit_its_kind_is_refused(kind, example, says):
    with pytest.raises(DataError, match=says):
        KINDS.get(kind).check(Example(uid="x", text="t", **example), task_of(kind), where="x")


def test_hidden_labels_are_predicted_but_not_trained_on(tokenizer):
    example = Example(uid="x", text="film", choices=("good", "bad"))
    for kind in PAIRS:
        assert encoded(kind, tokenizer, examples=[example], training=False)[0].targets == {}
        with pytest.raises(DataError, match="hidden"):
            encoded(kind, tokenizer, examples=[example])


def test_an_attack_changes_what_the_candidates_are_read_beside():
    kind = KINDS.get("multiple_choice")
    example = Example(uid="x", text="film", pair="the @placeholder", choices=("good", "bad"), label=0)
    assert kind.attacked_text(example) == "film"
    assert kind.with_text(example, "plot") == Example(
        uid="x", text="plot", pair="the @placeholder", choices=("good", "bad"), label=0
    )
    assert example.paired
    assert not Example(uid="x", text="film").paired


def test_the_cost_of_an_example_is_that_of_its_candidates():
    told = KINDS.get("several_choices").per_example(made("several_choices"))
    assert told == {"measured_input": "one candidate", "candidates_per_example": pytest.approx(7 / 3)}
    assert KINDS.get("classification").per_example(made("several_choices")) == {}
