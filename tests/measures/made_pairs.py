"""Pairs made for the tests of measures: predictions given by hand, or tiny models that can be understood."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bench.artifacts.manifest import Manifest
from bench.measures.base.measure import Pair
from bench.spec.setting import Setting
from bench.spec.suite import Task
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import Example
from bench.tasks.predictions import ClassLogits

MEASURING = {"country": "DEU", "threads": 1, "length": 8, "attack_examples": 20, "attack_queries": 100}


def make_task(kind="classification", *, metrics=("accuracy",), labels=("no", "yes"), **more):
    labels = labels if kind == "classification" else ()
    return Task(name="made", kind=kind, labels=labels, metrics=metrics, data={"source": "s", "subset": "t"}, **more)


def make_setting(**measuring):
    return Setting(max_length=32, measuring={**MEASURING, **measuring})


def make_loaded(name, model=None, tokenizer=None):
    return SimpleNamespace(
        model=model, tokenizer=tokenizer, content_hash=name, directory=Path(name), manifest=Manifest()
    )


def labelled(labels, prefix=""):
    return tuple(Example(uid=f"{prefix}{n}", text=f"text {n}", label=label) for n, label in enumerate(labels))


def classes(*labels, count=2):
    """Logits whose argmax is the given labels."""
    return ClassLogits(np.eye(count)[list(labels)] * 3.0)


class GivenPredictions:
    """Stands for the evaluator: predictions by (model, split) instead of a model that is run."""

    def __init__(self, task, examples, predictions):
        self.task, self._examples, self._predictions = task, examples, predictions

    def examples(self, split):
        return self._examples[split]

    def predict(self, loaded, split, limit=None):
        found = self._predictions[loaded.content_hash, split]
        return type(found).read(found.stored()[:limit])

    score, context, _chosen_on = Evaluator.score, Evaluator.context, Evaluator._chosen_on


def make_pair(
    task,
    evaluator,
    *,
    artifact=None,
    reference=None,
    made=None,
    epoch_cpu_s=None,
    is_reference=False,
    seed=0,
    **measuring,
):
    return Pair(
        task=task,
        setting=make_setting(**measuring),
        artifact=artifact or make_loaded("artifact"),
        reference=reference or make_loaded("reference"),
        artifact_dir=Path("artifact"),
        reference_dir=Path("reference"),
        evaluator=evaluator,
        device="cpu",
        seed=seed,
        is_reference=is_reference,
        made=made or Manifest(),
        epoch_cpu_s=epoch_cpu_s,
    )


def given_pair(task, examples, artifact, reference, **more):
    """A pair with predictions by split for each of the two models."""
    predictions = {("artifact", split): value for split, value in artifact.items()}
    predictions |= {("reference", split): value for split, value in reference.items()}
    return make_pair(task, GivenPredictions(task, examples, predictions), **more)


def missing(measure, reading):
    """Columns of the measure with neither a value nor a reason, or with both."""
    return [name for name in measure.columns if (name in reading.values) == (name in reading.absent)]
