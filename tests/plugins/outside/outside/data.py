"""A task kind, a metric with its column, a data source, a transform of rows and a generator."""

from __future__ import annotations

import random

from bench.columns import Column
from bench.tasks.examples import Example, TaskData
from bench.tasks.generated.generator import GENERATORS, Generator
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.sequence import Classification
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import ClassLogits
from bench.tasks.sources.source import SOURCES, DataSource, needed_splits
from bench.tasks.sources.transforms.transform import TRANSFORMS, RowTransform

SUBJECTS = ("the film", "the plot", "the actor", "the ending", "the music")
WORDS = (("was awful", "was boring"), ("was good", "was great"))


def reviews(split, count, seed):
    """Sentences that say plainly what their label is."""
    draw = random.Random(f"{split}:{seed}")
    rows = [(draw.choice(SUBJECTS), label, draw.choice(WORDS[label])) for label in (0, 1) * (count // 2)]
    return tuple(
        Example(uid=f"{split}-{number}", text=f"{subject} {words}", label=label)
        for number, (subject, label, words) in enumerate(rows)
    )


class Stars(Classification):
    """Classification of reviews by their stars."""

    name = "stars"


class BalancedAccuracy(Metric):
    """The mean over the classes of the share of their examples that are right."""

    name = "balanced_accuracy"
    column = Column(
        "balanced_accuracy",
        says="mean over the classes of the share of their examples that are right",
        kind="score",
        show="percent",
        better="higher",
        source="the package outside",
        oracle="tests of the package outside",
        scale="share",
        in_quality="share",
    )
    takes = ClassLogits

    def compute(self, predictions, references):
        classes = sorted(set(references))
        rows = [
            [said == true for said, true in zip(predictions, references, strict=True) if true == each]
            for each in classes
        ]
        return sum(sum(row) / len(row) for row in rows) / len(rows)


class Reviews(DataSource):
    """Reviews of films, as many as the subset says."""

    name = "outside-reviews"

    def load(self, task, *, data_dir):
        splits = {split: reviews(split, int(task.data.subset), task.data.seed) for split in needed_splits(task)}
        return TaskData(splits=splits, origin="the package outside", revision="1", generated=True)


class Clips(Generator):
    """Reviews of clips."""

    name = "outside-clips"
    version = "1"
    splits = ("train", "validation")

    def generate(self, split, seed):
        return reviews(split, 32, seed)


@TRANSFORMS.register("shouted")
class Shouted(RowTransform):
    """Capital letters in one column."""

    column: str

    def rows(self, rows, *, split):
        for row in rows:
            yield row._replace(values={**row.values, self.column: row.values[self.column].upper()})


METRICS.register(BalancedAccuracy.name)(BalancedAccuracy())
KINDS.register(Stars.name)(Stars())
SOURCES.register(Reviews.name)(Reviews())
GENERATORS.register(Clips.name)(Clips())
