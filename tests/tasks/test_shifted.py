"""Shifted sets of a task: how they are read, what is checked, and how labels fold."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bench.base.errors import DataError, SuiteError, UnknownNameError
from bench.plan.cell import Conditions, described, plan, training_part
from bench.plan.recipes import load_recipe
from bench.spec.data import Shifted
from bench.spec.suite import Task, load_suite
from bench.tasks.data import load_data
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import Answer, Example, TaskData
from bench.tasks.predictions import ClassLogits, ScoreValues, WrittenAnswers
from bench.tasks.shifted import check_shifted, fold_of, folded_labels, original_of, shifted_splits, split_of, tuned_on
from bench.tasks.sources.source import SOURCES, DataSource

NLI = ("entailment", "neutral", "contradiction")
HANS = {"neutral": "non-entailment", "contradiction": "non-entailment"}


def nli(**shifted):
    return Task(
        name="nli",
        kind="classification",
        labels=NLI,
        metrics=("accuracy",),
        data={"source": "made", "subset": "nli"},
        shifted={name: {"data": {"source": "made", "subset": name}, **keys} for name, keys in shifted.items()},
    )


def labelled(*labels):
    return tuple(Example(uid=f"e{row}", text=f"t{row}", label=label) for row, label in enumerate(labels))


@pytest.fixture
def asked(monkeypatch):
    """Subsets of a source "made", by name; each task that was asked for is kept under `tasks`."""
    given = {"tasks": [], "nli": {"train": labelled(0, 1, 2), "validation": labelled(0, 1, 2)}}

    class Made(DataSource):
        name = "made"

        def load(self, task, *, data_dir):
            given["tasks"].append(task)
            splits = given[task.data.subset]
            says = (("odd", "something is odd"),) if task.data.subset == "odd" else ()
            return TaskData(
                splits=splits, origin=f"made {task.data.subset}", revision="r1", generated=False, warnings=says
            )

    SOURCES.names()
    monkeypatch.setitem(SOURCES._plugins, "made", Made())
    return given


def test_folded_probabilities_are_the_sums_of_those_that_become_one():
    folded = ClassLogits(np.log([[0.4, 0.35, 0.25], [0.5, 0.3, 0.2]])).folded((0, 1, 1))
    assert np.exp(folded.logits) == pytest.approx(np.array([[0.4, 0.6], [0.5, 0.5]]))
    assert folded.classes.tolist() == [1, 0]  # the most probable of the three alone was entailment both times


def test_folding_is_exact_for_logits_of_any_size_and_offset():
    logits = np.array([[1000.0, 999.0, 998.0], [-1000.0, -1000.0, -1000.0]])
    folded = ClassLogits(logits).folded((0, 1, 1)).logits
    assert folded[0].tolist() == [1000.0, pytest.approx(999 + math.log1p(math.exp(-1)))]
    assert folded[1] == pytest.approx([-1000.0, -1000 + math.log(2)])


@pytest.mark.parametrize("said", [ScoreValues(np.zeros(2)), WrittenAnswers(("a", "b"))])
def test_what_is_no_probability_cannot_be_folded(said):
    with pytest.raises(DataError, match="not probabilities over classes"):
        said.folded((0, 1, 1))


def test_a_label_that_fold_does_not_name_keeps_its_name_and_the_order_is_the_tasks():
    task = nli(hans={"fold": HANS}, renamed={"fold": {"entailment": "yes"}}, plain={})
    labels = {name: folded_labels(task, each) for name, each in task.shifted.items()}
    assert labels == {
        "hans": ("entailment", "non-entailment"),
        "renamed": ("yes", "neutral", "contradiction"),
        "plain": NLI,
    }
    assert fold_of(task, split_of("hans")) == (0, 1, 1)
    assert [fold_of(task, split) for split in (split_of("renamed"), split_of("plain"), "validation")] == [None] * 3


def test_a_fold_over_labels_that_are_apart_keeps_each_in_its_place():
    task = nli(made={"fold": {"entailment": "sure", "contradiction": "sure"}})
    assert folded_labels(task, task.shifted["made"]) == ("sure", "neutral")
    assert fold_of(task, split_of("made")) == (0, 1, 0)


def test_shifted_sets_become_splits_and_are_read_as_tasks_without_training(asked):
    asked["hans"] = {"validation": labelled(0, 1, 1)}
    data = load_data(nli(hans={"fold": HANS}), data_dir=None)
    assert list(data.splits) == ["train", "validation", "shifted:hans"]
    assert shifted_splits(nli(hans={"fold": HANS})) == ("shifted:hans",)
    assert data.notes == ("shifted set hans: 3 examples of split 'validation' of made hans at revision r1",)
    own = asked["tasks"][-1]
    assert (own.labels, own.evaluate, own.shifted) == (("entailment", "non-entailment"), ("validation",), {})
    assert own.trained_on is not None


def test_a_set_may_lack_a_class_and_the_notes_say_so(asked):
    asked["symmetric"] = {"test": labelled(0, 2, 2)}
    data = load_data(nli(symmetric={"split": "test"}), data_dir=None)
    assert data.notes[1] == "shifted set symmetric: no example is neutral"


def test_a_label_outside_the_folded_labels_is_refused(asked):
    asked["hans"] = {"validation": labelled(0, 2)}
    with pytest.raises(
        DataError, match=r"nli, shifted set hans: split 'validation', example e1: label 2 is not one of"
    ):
        load_data(nli(hans={"fold": HANS}), data_dir=None)


def test_an_empty_set_is_refused(asked):
    asked["hans"] = {"test": labelled(0)}
    with pytest.raises(DataError, match="shifted set hans: split 'validation' of made hans has no examples"):
        load_data(nli(hans={}), data_dir=None)


def test_what_is_odd_in_a_set_is_a_warning_that_names_it(asked):
    asked["odd"] = {"validation": labelled(0, 1, 2)}
    assert load_data(nli(odd={}), data_dir=None).warnings == (("odd", "Shifted set odd: something is odd"),)


def test_a_subsample_of_a_set_is_named_and_nested(asked):
    asked["big"] = {"validation": labelled(*[row % 3 for row in range(60)])}

    def chosen(count):
        return load_data(nli(big={"examples": count}), data_dir=None)

    assert len(chosen(20).splits["shifted:big"]) == 20
    assert chosen(20).notes[0].startswith("shifted set big: 20 of 60 examples (seed 0) of split 'validation'")
    assert set(chosen(10).splits["shifted:big"]) < set(chosen(20).splits["shifted:big"])


def test_a_subsample_keeps_altered_examples_with_those_they_were_made_from(asked):
    uids = [f"q{number}{end}" for number in range(20) for end in ("", "-alt0", "-alt1")]
    context = {"text": "who", "pair": "Ada", "answers": (Answer("Ada", 0),)}
    asked["adversarial"] = {"validation": tuple(Example(uid=uid, **context) for uid in uids)}
    asked["qa"] = {"train": (Example(uid="t", **context),), "validation": (Example(uid="v", **context),)}
    shifted = {"data": {"source": "made", "subset": "adversarial"}, "altered": r"-alt\d", "examples": 10}
    task = Task(
        name="qa",
        kind="span_qa",
        metrics=("f1",),
        data={"source": "made", "subset": "qa"},
        shifted={"adversarial": shifted},
    )
    kept = [each.uid for each in load_data(task, data_dir=None).splits["shifted:adversarial"]]
    assert len(kept) == 9
    assert [each for each in uids if original_of(r"-alt\d", each) in kept] == kept


def test_the_original_of_an_altered_example_is_what_the_pattern_leaves():
    assert original_of(r"-high-conf-turk\d+", "56be4db0-high-conf-turk12") == "56be4db0"
    assert original_of(r"-high-conf-turk\d+", "56be4db0") == "56be4db0"
    assert original_of("a|b", "xab") == "xa"


def test_mistakes_in_a_suite_are_found_before_data_are_read(asked):
    with pytest.raises(
        UnknownNameError, match=r"here: shifted.hans.fold: no label named 'neural'. Did you mean 'neutral'"
    ):
        check_shifted(nli(hans={"fold": {"neural": "non-entailment"}}), where="here")
    with pytest.raises(SuiteError, match="every label becomes 'x'; at least two are needed"):
        check_shifted(nli(hans={"fold": dict.fromkeys(NLI, "x")}), where="here")
    with pytest.raises(SuiteError, match=r"here: shifted.hans.altered: '\(' is not a regular expression"):
        check_shifted(nli(hans={"altered": "("}), where="here")
    with pytest.raises(SuiteError, match="'ood' already names a split 'hans'"):
        check_shifted(nli(hans={}).model_copy(update={"ood": ("hans",)}), where="here")
    scores = nli(hans={"fold": HANS}).model_copy(update={"kind": "regression", "labels": ()})
    with pytest.raises(SuiteError, match="a regression task has no class probabilities to sum"):
        check_shifted(scores, where="here")


def test_labels_that_the_set_does_not_share_are_asked_for_before_data_are_read():
    def reads(fold, **more):
        data = {"source": "generated", "subset": "x", "labels": ["entailment", "non-entailment"], **more}
        return nli().model_copy(update={"shifted": {"hans": Shifted(data=data, fold=fold)}})

    with pytest.raises(
        SuiteError, match=r"which of the task's labels are 'non-entailment', for example fold = \{ contr"
    ):
        check_shifted(reads({}), where="here")
    check_shifted(reads(HANS), where="here")
    check_shifted(reads({}, leave_out={"label": ("non-entailment",)}), where="here")


def test_an_evaluator_predicts_the_labels_of_the_set(tokenizer, tiny_bert):
    examples = tuple(Example(uid=str(row), text=text, label=0) for row, text in enumerate(("good film", "bad plot")))
    data = TaskData(
        splits={"validation": examples, split_of("hans"): examples}, origin="o", revision=None, generated=True
    )
    loaded = SimpleNamespace(model=tiny_bert(3), tokenizer=tokenizer, content_hash="m")
    options = {"task": nli(hans={"fold": HANS}), "data": data, "max_length": 16, "token_budget": 64, "device": "cpu"}
    evaluator = Evaluator(**options)
    own = evaluator.predict(loaded, "validation").logits
    folded = evaluator.predict(loaded, split_of("hans")).logits
    assert folded == pytest.approx(np.stack([own[:, 0], np.logaddexp(own[:, 1], own[:, 2])], axis=1))
    again = Evaluator(**options, known=evaluator.known("m"))
    assert again.predict(loaded, split_of("hans")).logits.tolist() == folded.tolist()
    assert again.seconds == 0


def test_a_set_with_folded_labels_has_the_out_of_scope_label_in_its_own_place():
    task = Task(
        name="intent",
        kind="classification",
        labels=("play", "stop", "oos"),
        metrics=("oos_recall", "matched_oos_recall"),
        data={"source": "made", "subset": "intent"},
        threshold="validation",
        out_of_scope="oos",
        shifted={
            "music": {
                "data": {"source": "made", "subset": "music"},
                "fold": {"play": "music", "stop": "music"},
            }
        },
    )
    logits = {  # of play, stop and oos, as probabilities
        "validation": np.log([[0.5, 0.3, 0.2], [0.45, 0.15, 0.4], [0.1, 0.1, 0.8]]),
        "shifted:music": np.log([[0.3, 0.3, 0.4], [0.25, 0.2, 0.55], [0.3, 0.25, 0.45], [0.1, 0.1, 0.8]]),
    }
    splits = {"validation": labelled(0, 1, 2), "shifted:music": labelled(0, 1, 1, 1)}
    data = TaskData(splits=splits, origin="o", revision=None, generated=True)
    evaluator = Evaluator(task=task, data=data, max_length=16, token_budget=64, device="cpu")
    evaluator._ask = lambda loaded, examples: ClassLogits(
        next(logits[split] for split, own in splits.items() if own is examples or own == examples)
    )
    loaded = SimpleNamespace(content_hash="m")
    # Of the in-scope texts of validation, the sums for music are 0.8 and 0.6: the threshold is the smaller one.
    assert evaluator.context(loaded, "shifted:music").out_of_scope == 1
    assert evaluator.context(loaded, "shifted:music").thresholds["matched_oos_recall"] == pytest.approx(0.6)
    # Out of scope are the last three, which are music with 0.45, 0.55 and 0.2: two get the label, all are below 0.6.
    scores = evaluator.score(loaded, "shifted:music")
    assert scores == {"oos_recall": pytest.approx(2 / 3), "matched_oos_recall": 1.0}


def test_a_shifted_set_leaves_the_reference_and_its_artifacts_where_they_are():
    given = {"model": "demo-bert", "recipes": [load_recipe("int8")], "seeds": [0], "conditions": Conditions()}
    suite = load_suite("demo")
    more = load_suite("demo", overrides=[("sentiment.shifted.again.data", "generated/sentiment")])
    plain, beside = (plan(each, tasks=each.tasks[:1], **given)[0] for each in (suite, more))
    assert plain.key != beside.key
    assert (plain.reference_key, plain.stage_keys) == (beside.reference_key, beside.stage_keys)


def test_a_threshold_is_never_chosen_on_shifted_data():
    task = nli(hans={}).model_copy(update={"ood": ("harder",)})
    assert [tuned_on(task, split) for split in ("validation", "test", "harder", split_of("hans"))] == [
        *("validation", "test"),
        *("validation", "validation"),
    ]
    stated = task.model_copy(update={"threshold": "dev"})
    assert {tuned_on(stated, split) for split in ("validation", split_of("hans"))} == {"dev"}


def test_an_unknown_source_of_a_set_is_named(asked):
    task = nli(hans={})
    changed = task.shifted["hans"].model_copy(update={"data": task.data.model_copy(update={"source": "maed"})})
    with pytest.raises(UnknownNameError, match=r"shifted.hans.data.*'maed'"):
        check_shifted(task.model_copy(update={"shifted": {"hans": changed}}), where="here")


def test_a_shifted_set_changes_a_record_and_not_what_the_reference_was_trained_on(asked):
    asked["hans"] = {"validation": labelled(0, 1, 1)}
    plain, more = nli(), nli(hans={"fold": HANS})
    without, beside = load_data(plain, data_dir=None), load_data(more, data_dir=None)
    assert without.fingerprint() != beside.fingerprint()
    assert training_part(without, plain).fingerprint() == training_part(beside, more).fingerprint()
    assert replace(beside, splits={name: beside.splits[name] for name in without.splits}).fingerprint() == (
        without.fingerprint()
    )


def test_a_task_is_described_as_before_without_sets_and_by_data_and_not_titles_with_them():
    assert "shifted" not in described(nli())
    assert described(nli(hans={"title": "one"})) == described(nli(hans={"title": "another"}))
    assert described(nli(hans={"fold": HANS})) != described(nli(hans={}))
