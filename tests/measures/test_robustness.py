"""Quality on shifted splits and sets and the gap to it."""

import pytest
from made_pairs import classes, given_pair, labelled, make_task, missing

from bench.measures.robustness.robustness import Robustness
from bench.tasks.examples import Answer, Example
from bench.tasks.predictions import WrittenAnswers

ROBUSTNESS = Robustness()
EXAMPLES = {"validation": labelled([0, 1, 0, 1]), "shifted": labelled([0, 1, 0, 1])}
RIGHT, ONE_WRONG, TWO_WRONG = classes(0, 1, 0, 1), classes(0, 1, 0, 0), classes(0, 1, 1, 0)


def read(artifact, reference, **more):
    artifact, reference = (dict(zip(("validation", "shifted"), said, strict=True)) for said in (artifact, reference))
    return ROBUSTNESS.read(given_pair(make_task(ood=("shifted",)), EXAMPLES, artifact, reference, **more))


def test_the_gap_is_what_the_shift_costs_and_the_bias_its_quotient():
    reading = read((RIGHT, TWO_WRONG), (RIGHT, ONE_WRONG))
    assert reading.values == {"ood_quality": 0.5, "ood_gap": 0.5, "ood_relative_bias": 2.0}
    assert reading.reference == {"ood_quality": 0.75, "ood_gap": 0.25, "ood_relative_bias": 1.0}


def test_the_reference_has_a_relative_bias_of_one():
    said = (RIGHT, ONE_WRONG)
    assert read(said, said, is_reference=True).values["ood_relative_bias"] == 1.0


def test_equal_data_leave_no_gap_and_so_no_relative_bias():
    reading = read((ONE_WRONG, ONE_WRONG), (RIGHT, RIGHT))
    assert reading.values == {"ood_quality": 0.75, "ood_gap": 0.0}
    assert "0.0000" in reading.absent["ood_relative_bias"]
    assert missing(ROBUSTNESS, reading) == []


def test_equal_splits_leave_no_gap_whatever_the_model_says():
    same = {"validation": EXAMPLES["validation"], "shifted": EXAMPLES["validation"]}
    for said in (RIGHT, ONE_WRONG, TWO_WRONG):
        both = {"validation": said, "shifted": said}
        reading = ROBUSTNESS.read(given_pair(make_task(ood=("shifted",)), same, both, both, is_reference=True))
        assert reading.values["ood_gap"] == 0
        assert reading.values["ood_quality"] == reading.reference["ood_quality"]


def test_each_shifted_split_keeps_its_own_scores():
    task = make_task(ood=("overlap", "subsequence"))
    examples = dict.fromkeys(("validation", "overlap", "subsequence"), EXAMPLES["validation"])
    artifact = {"validation": RIGHT, "overlap": TWO_WRONG, "subsequence": RIGHT}
    reference = {"validation": RIGHT, "overlap": ONE_WRONG, "subsequence": RIGHT}
    reading = ROBUSTNESS.read(given_pair(task, examples, artifact, reference))
    assert reading.values["ood_quality"] == (0.5 + 1) / 2
    assert reading.conditions["by_split"] == {
        "artifact": {"overlap": {"accuracy": 0.5}, "subsequence": {"accuracy": 1.0}},
        "reference": {"overlap": {"accuracy": 0.75}, "subsequence": {"accuracy": 1.0}},
    }


def test_a_reference_that_gains_by_the_shift_has_no_relative_bias():
    assert "-0.2500" in read((RIGHT, RIGHT), (ONE_WRONG, RIGHT)).absent["ood_relative_bias"]


def test_a_task_without_a_shifted_split_says_so():
    said = {"validation": RIGHT}
    reading = ROBUSTNESS.read(given_pair(make_task(), EXAMPLES, said, said))
    assert set(reading.absent.values()) == {"the task has no shifted splits"}
    assert missing(ROBUSTNESS, reading) == []


@pytest.mark.parametrize("hidden", ["validation", "shifted"])
def test_hidden_labels_leave_a_reason(hidden):
    examples = {**EXAMPLES, hidden: labelled([None] * 4)}
    said = {"validation": RIGHT, "shifted": ONE_WRONG}
    reading = ROBUSTNESS.read(given_pair(make_task(ood=("shifted",)), examples, said, said))
    assert "label" in reading.absent["ood_gap"]
    assert missing(ROBUSTNESS, reading) == []


NLI = ("entailment", "neutral", "contradiction")
ANSWERS = ("entailment", "non-entailment")
HANS = {"hans": {"data": "hans/hans", "title": "HANS", "fold": dict.fromkeys(NLI[1:], ANSWERS[1])}}


def heuristics(*rows):
    return tuple(Example(uid=str(n), text="t", label=label, group=group) for n, (group, label) in enumerate(rows))


def read_hans(artifact, reference, **more):
    """Both models are right on the task's own four examples; HANS has three pairs of two heuristics."""
    task = make_task(labels=NLI, shifted=HANS)
    examples = {
        "validation": labelled([0, 1, 2, 0]),
        "shifted:hans": heuristics(("overlap", 0), ("overlap", 1), ("constituent", 1)),
    }
    said = (
        {"validation": classes(0, 1, 2, 0, count=3), "shifted:hans": classes(*each)} for each in (artifact, reference)
    )
    return ROBUSTNESS.read(given_pair(task, examples, *said, **more))


def test_a_shifted_set_counts_as_a_shifted_split_does():
    reading = read_hans((0, 0, 0), (0, 1, 0))
    assert reading.values == {
        "ood_quality": pytest.approx(1 / 3),
        "ood_gap": pytest.approx(2 / 3),
        "ood_relative_bias": pytest.approx(2),
    }
    found = reading.conditions["sets"]["hans"]
    assert found["examples"] == 3
    assert found["quality"] == {"artifact": pytest.approx(1 / 3), "reference": pytest.approx(2 / 3)}
    assert found["gap"] == {"artifact": pytest.approx(2 / 3), "reference": pytest.approx(1 / 3)}
    assert found["relative_bias"] == pytest.approx(2)
    assert (found["title"], found["fold"]["by"]) == ("HANS", "summed probabilities")
    assert set(reading.tables["shifted"]["split"]) == {"shifted:hans"}


def test_groups_of_a_set_have_scores_of_their_own_by_hand():
    found = read_hans((0, 0, 1), (0, 1, 0)).conditions["sets"]["hans"]
    assert found["groups"]["artifact"]["overlap"] == {"examples": 2, "accuracy": 0.5, "quality": 0.5}
    assert found["groups"]["reference"]["overlap"] == {"examples": 2, "accuracy": 1.0, "quality": 1.0}
    assert found["right_by_label"]["artifact"] == {
        "overlap": {"entailment": 1.0, "non-entailment": 0.0},
        "constituent": {"non-entailment": 1.0},
    }


def test_the_reference_has_a_relative_bias_of_one_on_every_set():
    reading = read_hans((0, 1, 0), (0, 1, 0), is_reference=True)
    assert reading.values["ood_relative_bias"] == reading.conditions["sets"]["hans"]["relative_bias"] == 1.0


def test_splits_and_sets_have_the_same_weight():
    task = make_task(ood=("easy",), shifted={"hard": {"data": "advglue/sst2"}})
    examples = {"validation": labelled([0, 1]), "easy": labelled([0, 1]), "shifted:hard": labelled([0, 1, 0, 1])}
    said = {"validation": classes(0, 1), "easy": classes(0, 1), "shifted:hard": classes(0, 0, 0, 0)}
    reading = ROBUSTNESS.read(given_pair(task, examples, said, said, is_reference=True))
    assert reading.values["ood_quality"] == (1 + 0.5) / 2
    assert {name: each["gap"]["artifact"] for name, each in reading.conditions["sets"].items()} == {
        "easy": 0.0,
        "hard": 0.5,
    }


def test_a_set_of_the_tasks_own_examples_has_no_gap_and_says_why_it_has_no_bias():
    task, own = make_task(shifted={"same": {"data": "advglue/sst2"}}), labelled([0, 1, 0, 1])
    examples = {"validation": own, "shifted:same": own}
    for said in (RIGHT, ONE_WRONG, TWO_WRONG):
        both = {"validation": said, "shifted:same": said}
        reading = ROBUSTNESS.read(given_pair(task, examples, both, both, is_reference=True))
        assert reading.values["ood_gap"] == reading.conditions["sets"]["same"]["gap"]["artifact"] == 0
        assert "0.0000" in reading.conditions["sets"]["same"]["relative_bias"]


def test_a_set_with_hidden_labels_leaves_the_other_sets_their_scores():
    task = make_task(shifted={name: {"data": "advglue/sst2"} for name in ("known", "hidden")})
    examples = {
        "validation": labelled([0, 1]),
        "shifted:known": labelled([0, 1]),
        "shifted:hidden": labelled([None, None]),
    }
    said = dict.fromkeys(examples, classes(0, 1))
    reading = ROBUSTNESS.read(given_pair(task, examples, said, said))
    assert "hidden" in reading.absent["ood_quality"]
    assert reading.conditions["sets"]["known"]["quality"]["artifact"] == 1.0
    assert "hidden" in reading.conditions["sets"]["hidden"]["quality"]["artifact"]
    assert missing(ROBUSTNESS, reading) == []


def test_a_reference_at_chance_on_a_set_is_a_warning_that_names_the_set():
    task = make_task(shifted={name: {"data": "advglue/sst2"} for name in ("hard", "easy")})
    truth = [0, 1] * 50
    examples = {split: labelled(truth) for split in ("validation", "shifted:hard", "shifted:easy")}
    said = {"validation": classes(*truth), "shifted:hard": classes(*[0] * 100), "shifted:easy": classes(*truth)}
    warnings = ROBUSTNESS.read(given_pair(task, examples, said, said)).warnings
    assert [code for code, _ in warnings] == ["reference-at-chance"]
    assert "on hard the reference gets 50.0% right" in warnings[0][1]


def asked(uid, *answers):
    return Example(uid=uid, text="who", pair="so", answers=tuple(Answer(each, 0) for each in answers))


def read_adversarial(artifact, reference, uids=("a", "b", "a-alt0", "a-alt1", "c", "c-alt0")):
    shifted = {"addsent": {"data": "adversarial-squad/addsent", "altered": r"-alt\d"}}
    task = make_task("span_qa", metrics=("exact_match", "f1"), shifted=shifted)
    examples = {"validation": (asked("v", "Ada"),), "shifted:addsent": tuple(asked(uid, "Ada Byron") for uid in uids)}
    said = (
        {"validation": WrittenAnswers(("Ada",)), "shifted:addsent": WrittenAnswers(each)}
        for each in (artifact, reference)
    )
    return ROBUSTNESS.read(given_pair(task, examples, *said))


def beside_originals(*given):
    return read_adversarial(*given).conditions["sets"]["addsent"]["altered"]


def scores(exact_match, f1):
    found = {"exact_match": exact_match, "f1": f1, "quality": (exact_match + f1) / 2}
    return {"examples": 3, **{name: pytest.approx(value) for name, value in found.items()}}


def test_altered_questions_are_scored_beside_their_originals_by_hand():
    yes, part, no = "Ada Byron", "Ada", "Bob"
    found = beside_originals((yes, no, part, no, yes, yes), (yes,) * 6)["artifact"]
    assert found["original"] == scores(2 / 3, 2 / 3)
    assert found["altered"] == scores(1 / 3, 5 / 9)
    # Quality of `part` is (0 + 2/3) / 2 = 1/3. The questions a and c have versions: before 1 and 1, after 1/6 and 1.
    assert found["pairs"] == {
        "examples": 2,
        "original": 1.0,
        "altered": pytest.approx((1 / 6 + 1) / 2),
        "gap": pytest.approx(5 / 12),
    }
    # AddSent: the worst version of a, b itself, the version of c.
    assert found["worst"] == scores(1 / 3, 1 / 3)


def test_a_set_with_altered_questions_counts_with_their_worst_versions_and_not_with_the_unaltered_ones():
    yes, part, no = "Ada Byron", "Ada", "Bob"
    reading = read_adversarial((yes, no, part, no, yes, yes), (yes, no, part, yes, yes, yes))
    assert reading.values["ood_quality"] == pytest.approx(1 / 3)  # a: 0, b: 0, c: 1
    assert reading.reference["ood_quality"] == pytest.approx((1 / 3 + 0 + 1) / 3)  # a: part
    # On the task's own split both have quality 1.
    assert reading.values["ood_gap"] == pytest.approx(2 / 3)
    assert reading.values["ood_relative_bias"] == pytest.approx((2 / 3) / (5 / 9))
    found = reading.conditions["sets"]["addsent"]
    assert found["quality"]["artifact"] == found["altered"]["artifact"]["worst"]["quality"]
    assert (found["examples"], found["examples_read"]) == (3, 6)


def test_a_set_with_altered_questions_and_hidden_answers_has_no_quality():
    shifted = {"addsent": {"data": "adversarial-squad/addsent", "altered": r"-alt\d"}}
    task = make_task("span_qa", metrics=("exact_match", "f1"), shifted=shifted)
    examples = {"validation": (asked("v", "Ada"),), "shifted:addsent": (asked("a"), asked("a-alt0"))}
    said = {"validation": WrittenAnswers(("Ada",)), "shifted:addsent": WrittenAnswers(("Ada", "Ada"))}
    reading = ROBUSTNESS.read(given_pair(task, examples, said, said))
    assert "has no answer" in reading.absent["ood_quality"]


def test_an_altered_version_counts_even_if_the_original_is_worse():
    found = beside_originals(("Bob", "Bob", "Ada Byron", "Ada Byron", "Bob", "Ada Byron"), ("Bob",) * 6)["artifact"]
    assert found["worst"]["f1"] == pytest.approx(2 / 3)
    assert found["pairs"]["gap"] == -1.0


def test_altered_examples_without_their_originals_or_without_any_leave_a_reason():
    answers = ("Ada Byron",) * 2
    assert (
        "was made from a, which is not in the split" in beside_originals(answers, answers, ("b", "a-alt0"))["artifact"]
    )
    assert "so no example is an altered one" in beside_originals(answers, answers, ("a", "b"))["artifact"]
