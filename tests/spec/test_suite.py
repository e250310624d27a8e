"""Suites read from files: every one that travels with the package is sound, and bad ones say what is wrong."""

import pytest

from bench.base.errors import SuiteError, UnknownNameError
from bench.base.shelf import Shelf
from bench.plan.check import _check_positive, check_suite
from bench.plan.recipes import expand
from bench.spec import data
from bench.spec.suite import Task, load_suite, suite_names

SMALL = """
name = "small"
title = "A small suite"
recipes = ["none"]
[setting.measuring]
country = "USA"
[[tasks]]
name = "sentiment"
kind = "classification"
labels = ["negative", "positive"]
metrics = ["accuracy"]
data = { source = "generated", subset = "sentiment" }
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "small.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_of_the_package_is_sound(name):
    suite = load_suite(name)
    assert suite.name == name
    check_suite(suite)
    for choice in suite.recipes:
        assert expand(choice)


def test_the_same_file_gives_the_same_setting_id_and_another_setting_another(written):
    path = written(SMALL)
    assert load_suite(path).setting_id == load_suite(path).setting_id
    changed = load_suite(path, overrides=[("training.epochs", 1)])
    assert changed.setting.training.epochs == 1
    assert changed.setting_id != load_suite(path).setting_id


def test_skipped_measures_leave_rows_comparable(written):
    path = written(SMALL)
    fewer = load_suite(path, overrides=[("measuring.skip", ["latency"])])
    assert fewer.setting.measuring.skip == ("latency",)
    assert fewer.setting_id == load_suite(path).setting_id


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('metrics = ["accuracy"]', 'metrics = ["acuracy"]', "Did you mean 'accuracy'"),
        (
            'metrics = ["accuracy"]',
            'metrics = ["pearson"]',
            r"task 'sentiment': metrics: no classification metric named 'pearson'",
        ),
        ('kind = "classification"', 'kind = "regression"', "a regression task has no labels"),
        ('kind = "classification"', 'kind = "clasification"', r"task 'sentiment': kind.*Did you mean 'classification'"),
        ('title = "A small suite"', 'titel = "A small suite"', "Did you mean 'title'"),
        (
            'country = "USA"',
            'country = "USA"\nthreads = 0',
            "expected a number of at least 1, found 0",
        ),
        ('country = "USA"', "", r"setting.measuring"),
        ('country = "USA"', 'country = "USA"\nskip = ["latancy"]', "Did you mean 'latency'"),
        ('country = "USA"', 'country = "USA"\nskip = ["quality"]', "is required.*latency"),
        ('labels = ["negative", "positive"]', 'labels = ["one"]', "at least two labels"),
        ('title = "A small suite"', 'title = "A small', "not valid TOML.*line 3"),
        ('name = "sentiment"', 'name = "../evil"', "task '../evil': name"),
    ],
)
def test_a_bad_suite_is_refused_with_the_place(written, old, new, message):
    assert old in SMALL
    path = written(SMALL.replace(old, new))
    with pytest.raises((SuiteError, UnknownNameError), match=message) as error:
        check_suite(load_suite(path), where=path)
    assert "small.toml" in str(error.value)


def test_an_unknown_suite_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'demo'"):
        load_suite("dmo")


def test_an_override_of_no_key_suggests_the_nearest(written):
    with pytest.raises(SuiteError, match="Did you mean 'epochs'"):
        load_suite(written(SMALL), overrides=[("training.epoch", 1)])


def test_a_track_needs_a_column_with_a_direction(written):
    track = '[[tracks]]\nname = "t"\nrank = "flops_coverage"\n'
    with pytest.raises(SuiteError, match="cannot rank"):
        load_suite(written(SMALL + track))


SPAM = """
title = "Spam"
cite = "ours"
licence = "none"
labels = ["ham", "spam"]
"""


@pytest.fixture
def spam(tmp_path, monkeypatch):
    """A data set `mine/spam` whose second label is the positive one."""
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    (tmp_path / "sets" / "mine" / "spam.toml").write_text(SPAM, encoding="utf-8")
    monkeypatch.setattr(data, "DATASETS", Shelf("data set", folder=tmp_path / "sets", group="none", nested=True))


def spam_task(*labels, metrics=("f1",), **more):
    return Task(name="sms", kind="classification", labels=labels, metrics=metrics, data="mine/spam", **more)


@pytest.mark.parametrize("metric", ["f1", "fpr_at_99_recall", "auroc"])
def test_a_metric_of_the_positive_class_refuses_labels_in_the_other_order(spam, metric):
    _check_positive(spam_task("ham", "spam"), metric, where="x")
    with pytest.raises(
        SuiteError, match=r"second label, here 'ham', but .* is 'spam'\. Write labels = \['ham', 'spam'\]"
    ):
        _check_positive(spam_task("spam", "ham"), metric, where="x")


def test_labels_that_are_not_those_of_the_data_set_are_not_its_order(spam):
    _check_positive(spam_task("good", "bad"), "f1", where="x")


def test_the_label_for_out_of_scope_must_be_one_of_the_labels(written):
    text = SMALL.replace("data = {", 'out_of_scope = "positiv"\ndata = {')
    with pytest.raises(UnknownNameError, match=r"out_of_scope.*Did you mean 'positive'"):
        check_suite(load_suite(written(text)))
