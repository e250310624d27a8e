"""Labels that a suite leaves to the data: filled in before planning, kept in cells, and told with warnings."""

import pytest

from bench.base.errors import DataError, SuiteError
from bench.plan.cell import Conditions, plan
from bench.plan.check import check_suite
from bench.plan.recipes import load_recipe
from bench.plan.settle import with_labels
from bench.spec.suite import Suite, load_suite

DATA = {
    "folders": ["mine"],
    "files": {"train": "train.csv", "validation": "test.csv"},
    "columns": {"text": "message", "label": "intent"},
}


def suite_with(*tasks):
    demo = load_suite("demo")
    shared = {"kind": "classification", "metrics": ["accuracy"], "data": DATA}
    return Suite.model_validate(
        {"name": "own", "title": "Own", "setting": demo.setting.model_dump(), "tasks": [{**shared, **t} for t in tasks]}
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").write_text(
        "message,intent\n" + "pay me,pay\nbye now,leave\n" * 4, encoding="utf-8"
    )
    (tmp_path / "mine" / "test.csv").write_text("message,intent\npay you,pay\nbye now,leave\n", encoding="utf-8")
    return tmp_path


def planned(suite, folder):
    given = {"model": "demo-bert", "recipes": [load_recipe("none")], "seeds": [0]}
    return plan(suite, tasks=suite.tasks[:1], conditions=Conditions(data_dir=folder), **given)[0]


def test_a_cell_has_the_labels_of_the_data_and_the_key_of_one_that_states_them(folder):
    cell = planned(suite_with({"name": "intent"}), folder)
    assert cell.task.labels == cell.train_task.labels == cell.suite.task("intent").labels == ("leave", "pay")
    assert cell.key == planned(suite_with({"name": "intent", "labels": ["leave", "pay"]}), folder).key


def test_the_datas_warnings_are_those_of_the_cell(folder):
    codes = dict(planned(suite_with({"name": "intent"}), folder).fit.warnings)
    assert codes["evaluated-in-training"].startswith("intent: 1 of 2 rows of validation stand in train too")


def test_tasks_that_are_not_used_keep_their_labels_open(folder):
    suite = suite_with({"name": "intent"}, {"name": "other", "data": {**DATA, "folders": ["absent"]}})
    check_suite(suite)
    settled, (task,) = with_labels(suite, suite.tasks[:1], data_dir=folder)
    assert task.labels == ("leave", "pay")
    assert [each.labels for each in settled.tasks] == [("leave", "pay"), ()]


def test_a_task_that_is_scored_by_anothers_model_takes_over_its_labels(folder):
    suite = suite_with({"name": "intent", "labels": ["pay", "leave"]}, {"name": "probe", "trained_on": "intent"})
    _, (task,) = with_labels(suite, suite.tasks[1:], data_dir=folder)
    assert task.labels == ("pay", "leave")


def test_sources_that_cannot_name_labels_need_them_in_the_suite():
    suite = suite_with({"name": "made", "data": {"source": "generated", "subset": "sentiment"}})
    with pytest.raises(
        SuiteError, match="task 'made': labels: a classification task needs at least two labels, found 0"
    ):
        check_suite(suite)


def test_training_on_one_class_is_refused_before_anything_is_trained(folder):
    (folder / "mine" / "train.csv").write_text("message,intent\na,pay\nb,pay\n", encoding="utf-8")
    with pytest.raises(DataError, match="all 2 examples of 'train' have the label pay"):
        planned(suite_with({"name": "intent", "labels": ["leave", "pay"]}), folder)
