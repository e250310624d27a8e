"""Every task kind with candidates, several labels or no answer runs to a record with every kind of compression."""

from __future__ import annotations

import random

import pytest

import bench
from bench.measures.agreement.recompute import recompute
from bench.spec.setting import Setting
from bench.spec.suite import Suite
from bench.tasks.examples import Answer, Example, TaskData
from bench.tasks.sources.source import SOURCES, DataSource, needed_splits

GOOD, BAD = ("good", "great", "fun", "very good"), ("bad", "awful", "boring", "not good")
TOPICS = ("film", "plot", "actor", "story")
SIZES = {"train": 24, "validation": 12, "dev": 12}


def praised(draw):
    topic = draw.choice(TOPICS)
    return topic, f"the {topic} was {draw.choice(GOOD)}"


def choices(draw, uid):
    right = draw.randrange(2)
    words = [draw.choice(BAD), draw.choice(BAD)]
    words[right] = draw.choice(GOOD)
    return Example(uid=uid, text="it is fun", pair="the film is", choices=tuple(words), label=right)


def cloze(draw, uid):
    topics = draw.sample(TOPICS, draw.choice((2, 3, 4)))
    return Example(
        uid=uid,
        text=f"the {topics[0]} was good and it is fun",
        pair="the @placeholder was great",
        choices=tuple(draw.sample(topics, len(topics))),
        answers=(Answer(topics[0], 4),),
    )


def several(draw, uid):
    words = [draw.choice(GOOD + BAD) for _ in range(draw.choice((2, 3, 5)))]
    right = tuple(row for row, word in enumerate(words) if word in GOOD)
    return Example(uid=uid, text="this film was fun", pair="it is", choices=tuple(words), label=right)


def topics(draw, uid):
    said = sorted(draw.sample(range(len(TOPICS)), draw.choice((0, 1, 2))))
    return Example(uid=uid, text=" and ".join(["it is good", *(TOPICS[row] for row in said)]), label=tuple(said))


def questions(draw, uid):
    topic, context = praised(draw)
    if draw.random() < 0.5:
        return Example(uid=uid, text="what is awful", pair=context, answers=(Answer("", 0),))
    return Example(uid=uid, text="what is good", pair=context, answers=(Answer(topic, 4),))


MADE = {
    "multiple_choice": (choices, ("accuracy",), {}),
    "cloze": (cloze, ("exact_match", "f1"), {}),
    "several_choices": (several, ("f1", "exact_match"), {}),
    "multi_label": (topics, ("micro_f1", "macro_f1", "subset_accuracy"), {"labels": TOPICS}),
    "span_qa_no_answer": (questions, ("exact_match", "f1"), {"threshold": "dev"}),
}
RECIPES = ("none", "magnitude-pruning", "int8", "distillation")


class MadeKinds(DataSource):
    """Examples of the kind that the subset names."""

    name = "made-kinds"

    def load(self, task, *, data_dir):
        del data_dir
        make = MADE[task.data.subset][0]
        splits = {}
        for split in needed_splits(task):
            draw = random.Random(split)
            splits[split] = tuple(make(draw, f"{split}-{row}") for row in range(SIZES[split]))
        return TaskData(splits=splits, origin="made", revision="1", generated=True)


def suite_of(kinds):
    measuring = {
        "country": "USA",
        "threads": 1,
        "length": 8,
        "train_examples": 8,
        "attack_examples": 4,
        "attack_queries": 5,
        "skip": ("latency", "start", "carbon", "memory", "decoding"),
    }
    tasks = [
        {"name": kind.replace("_", "-"), "kind": kind, "metrics": MADE[kind][1], **MADE[kind][2]}
        | {"data": {"source": "made-kinds", "subset": kind}}
        for kind in kinds
    ]
    setting = Setting(max_length=32, training={"epochs": 1, "learning_rate": 1e-3}, measuring=measuring)
    return Suite(name="kinds", title="kinds", generated=True, model="demo-bert", setting=setting, tasks=tasks)


def ran(kinds, recipes, folder):
    done = bench.run(suite_of(kinds), recipes=recipes, results=folder / "out", cache=folder / "cache", progress=False)
    assert list(done.failures) == []
    assert len(done.found) == len(kinds) * len(recipes)
    return done.found


@pytest.mark.slow
@pytest.mark.parametrize("kind", MADE)
def test_a_kind_runs_with_every_kind_of_compression(kind, tmp_path, restored):
    restored(SOURCES)
    SOURCES.register(MadeKinds.name)(MadeKinds())
    for each in ran([kind], RECIPES, tmp_path):
        record = each.record
        assert set(MADE[kind][1]) <= set(record.values)
        assert {"quality", "label_loyalty", "macs", "drop", "quality_low"} <= set(record.values), record.absent
        again = recompute(each.path)
        assert {name: again[name] for name in MADE[kind][1]} == pytest.approx(
            {name: record.values[name] for name in MADE[kind][1]}
        )
        assert (record.conditions["computation"].get("candidates_per_example", 1) > 1) == (
            "choice" in kind or kind == "cloze"
        )
        if kind == "span_qa_no_answer":
            scored = record.conditions["quality"]
            assert scored["scored"]["validation"]["threshold_chosen_on"] == "dev"
            assert all(
                len(scored["decided"][side]["validation"]["thresholds"]) == 1 for side in ("artifact", "reference")
            )
            assert set(scored["by_part"]["artifact"]["validation"]) == {"has_answer", "no_answer"}
        assert again["label_loyalty"] == pytest.approx(record.values["label_loyalty"])
