"""All that depends on a task's kind is asked of the kind, so a kind and a metric from outside need no edit here."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from made_pairs import GivenPredictions, make_pair, missing
from test_recompute import SIZES, check, written

import bench
from bench.base.errors import BenchError, UnknownNameError
from bench.columns import COLUMNS, Column, column
from bench.measures.agreement.agreement import Agreement
from bench.measures.quality.quality import Quality
from bench.measures.robustness.attack import Attack
from bench.plan.check import check_suite
from bench.spec.setting import Measuring, Setting
from bench.spec.suite import Suite, Task
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS, TaskKind, form_of
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.prediction_tables import read_predictions
from bench.tasks.predictions import ClassLogits, Predictions

ROOT = Path(bench.__file__).parent


def branches_on_kinds(source: str) -> list[int]:
    """The lines that compare a task's kind with something, or any kind with the name of one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
        names = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)} & set(KINDS.names())
        of_task = any(side.endswith(("task.kind", "task_kind")) for side in sides)
        if of_task or (names and any(side.split(".")[-1] == "kind" for side in sides)):
            found.append(node.lineno)
    return found


def test_nothing_outside_the_kinds_branches_on_the_kind_of_a_task():
    files = [path for path in ROOT.rglob("*.py") if ROOT / "tasks" / "kinds" not in path.parents]
    assert len(files) > 100
    found = {path.relative_to(ROOT).as_posix(): branches_on_kinds(path.read_text()) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        'if pair.task.kind != "classification": pass',
        'names = () if kind == "translation" else ("a",)',
        'if self.kind in ("span_qa", "regression"): pass',
        'if record.task_kind == "made": pass',
    ],
)
def test_a_branch_on_the_kind_of_a_task_is_found(line):
    assert branches_on_kinds(f"x = 1\n{line}\n") == [2]
    assert branches_on_kinds('if event.kind in ("started", "progress"): pass') == []


@dataclass(frozen=True)
class Tags(Predictions):
    """A set of words per example."""

    tags: tuple[frozenset[str], ...]

    called = "tags"
    dtype = "string"

    def stored(self):
        return [sorted(tags) for tags in self.tags]

    @classmethod
    def holds(cls, value):
        return isinstance(value, list) and all(isinstance(tag, str) for tag in value)

    @classmethod
    def read(cls, stored):
        return cls(tuple(map(frozenset, stored)))

    def compared(self, truth):
        return [" ".join(tags) for tags in self.stored()], list(truth)

    def same(self, other):
        return np.array([one == another for one, another in zip(self.tags, other.tags, strict=True)])


class Tagging(TaskKind):
    """Words for a text; only what predictions need is here."""

    name = "tagging"
    head = "sequence-classification"
    predicts = Tags

    def encode(self, examples, tokenizer, *, task, max_length, training):
        raise NotImplementedError

    def loss(self, outputs, targets):
        raise NotImplementedError

    def predict(self, outputs, features, examples, *, tokenizer):
        raise NotImplementedError


class Jaccard(Metric):
    """Words in common over words of either."""

    name = "jaccard"
    column = Column("jaccard", says="shared words", kind="score", show="percent", better="higher", in_quality="share")
    takes = Tags

    def compute(self, predictions, references):
        return float(np.mean(list(map(overlap, predictions, references))))

    def on_chosen(self, predictions, references):
        values = np.array(list(map(overlap, predictions, references)))
        return lambda indices: float(values[indices].mean())


class FewTags(Metric):
    """1 / (1 + mean number of words), which counts in quality as a number of words does not."""

    name = "few_tags"
    column = Column("few_tags", says="mean words", kind="score", show="number", better="lower", in_quality="share")
    takes = Tags

    def compute(self, predictions, references):
        return float(np.mean([len(said.split()) for said in predictions]))

    def as_quality(self, value):
        return 1 / (1 + value)


def overlap(said, true):
    one, other = set(said.split()), set(true.split())
    return len(one & other) / len(one | other)


@pytest.fixture
def outside(restored):
    """A task kind and two metrics as another package registers them, for the time of one test."""
    restored(KINDS, METRICS, COLUMNS)
    KINDS.register("tagging")(Tagging())
    METRICS.register("jaccard")(Jaccard())
    METRICS.register("few_tags")(FewTags())


def tagging_pair(metrics=("jaccard",), **more):
    rng = np.random.default_rng(0)
    words = np.array(["red", "green", "blue"])

    def drawn(count):
        return [frozenset(words[rng.random(3) < 0.6]) | {"any"} for _ in range(count)]

    sizes = SIZES
    truth = {split: drawn(size) for split, size in sizes.items()}
    examples = {
        split: tuple(Example(uid=f"{split}{n}", text="t", target=" ".join(sorted(tags))) for n, tags in enumerate(all_))
        for split, all_ in truth.items()
    }
    said = {
        (side, split): Tags(tuple(drawn(size))) for side in ("artifact", "reference") for split, size in sizes.items()
    }
    task = Task(
        name="made",
        kind="tagging",
        metrics=metrics,
        data={"source": "glue", "subset": "sst2"},
        evaluate=("a", "b"),
        **more,
    )
    return make_pair(task, GivenPredictions(task, examples, said)), truth, said


@pytest.mark.usefixtures("outside")
def test_a_kind_and_a_metric_from_outside_have_quality_its_interval_and_agreement():
    pair, truth, said = tagging_pair(trained_on="other")
    reading = Quality().read(pair)

    def jaccard(side, split):
        return [
            len(one & other) / len(one | other) for one, other in zip(said[side, split].tags, truth[split], strict=True)
        ]

    by_hand = {
        side: np.mean([np.mean(jaccard(side, split)) for split in ("a", "b")]) for side in ("artifact", "reference")
    }
    assert reading.values["jaccard"] == pytest.approx(by_hand["artifact"])
    assert reading.values["quality"] == pytest.approx(by_hand["artifact"])
    assert reading.values["drop"] == pytest.approx(by_hand["reference"] - by_hand["artifact"])
    spread = np.sqrt(sum(np.var(jaccard("artifact", split)) / len(truth[split]) for split in ("a", "b"))) / 2
    low, high = (reading.values[name] for name in column("quality").interval[:2])
    assert (low + high) / 2 == pytest.approx(by_hand["artifact"], abs=spread / 3)
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.25)  # the bootstrap's is that of a normal mean
    assert "drop_p" in reading.values
    assert reading.absent["accuracy"] == "not a metric of this task"
    assert reading.absent["calibration_ece"] == "a tagging task has no class probabilities"
    assert missing(Quality(), reading) == []
    agreement = Agreement().read(pair)
    pairs = [zip(said["artifact", split].tags, said["reference", split].tags, strict=True) for split in ("a", "b")]
    equal = [one == other for both in pairs for one, other in both]
    assert agreement.values["label_loyalty"] == pytest.approx(np.mean(equal))
    assert agreement.absent["fidelity_kl"] == "tags are not probabilities over classes"
    assert missing(Agreement(), agreement) == []
    assert (
        Attack().read(pair).absent["attack_success"]
        == "an attack changes the predicted label, and a tagging task has no labels"
    )


@pytest.mark.usefixtures("outside")
def test_its_predictions_are_stored_read_back_and_scored_again(tmp_path):
    pair, _, said = tagging_pair(trained_on="other")
    examples = {split: pair.evaluator.examples(split) for split in ("a", "b")}
    path, record = written(tmp_path, pair.task, examples, lambda split: said["artifact", split])
    assert read_predictions(path)["b"].artifact == said["artifact", "b"]
    check(path, record, {"jaccard", "quality", "label_loyalty"})


@pytest.mark.usefixtures("outside")
def test_a_metric_counts_in_quality_as_it_says_and_without_a_fast_form_has_no_interval():
    pair, _, said = tagging_pair(("jaccard", "few_tags"))
    reading = Quality().read(pair)
    words = [np.mean([len(tags) for tags in said["artifact", split].tags]) for split in ("a", "b")]
    assert reading.values["few_tags"] == pytest.approx(np.mean(words))
    counted = np.mean([1 / (1 + mean) for mean in words])
    assert reading.values["quality"] == pytest.approx((reading.values["jaccard"] + counted) / 2)
    low = column("quality").interval.low
    assert reading.absent[low] == "metric 'few_tags' has no vectorized form for resampling"


@pytest.mark.usefixtures("outside")
def test_a_suite_may_use_it_but_not_with_metrics_of_other_predictions():
    task = tagging_pair()[0].task
    suite = Suite(name="s", title="s", setting=Setting(measuring=Measuring(country="DEU")), tasks=(task,))
    check_suite(suite)
    other = suite.model_copy(update={"tasks": (task.model_copy(update={"metrics": ("accuracy",)}),)})
    with pytest.raises(UnknownNameError, match=r"s: task 'made': metrics: no tagging metric named 'accuracy'"):
        check_suite(other)


def test_a_metric_whose_column_does_not_say_how_it_counts_is_refused():
    class Lost(Jaccard):
        name = "lost"
        column = Column("lost", says="?", kind="score", show="number")

    with pytest.raises(BenchError, match="'lost': its column needs `in_quality`"):
        METRICS.register("lost")(Lost())
    assert "lost" not in METRICS.names()
    assert "lost" not in COLUMNS


def test_a_value_that_no_form_holds_is_refused():
    with pytest.raises(BenchError, match="is not a prediction of a known task kind"):
        form_of({"unheard": 1})
    assert form_of([0.5, 1.0]) is ClassLogits
