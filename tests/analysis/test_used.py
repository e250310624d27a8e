"""What recipes used besides their tasks' data stands under boards and tables, with its counts."""

from __future__ import annotations

from bench.analysis.table import table_of
from bench.analysis.used import used
from bench.records.record import StageLog

NOTE = "Copies of the training texts, labelled by the teacher."


def stages(count):
    augmented = StageLog(method="distill", arguments={}, seconds=1.0, counts={"augmented_texts": count}, notes=(NOTE,))
    return (StageLog(method="distill", arguments={}, seconds=1.0), augmented)


def test_a_sentence_per_recipe_and_stage_names_the_tasks_that_share_it(record):
    records = [
        *(record(task, "tinybert", 0.7, stages=stages(12_345)) for task in ("alpha", "beta")),
        record("alpha", "distillation", 0.7, stages=stages(1)[:1]),
    ]
    expected = f"On alpha, beta, tinybert (stage 2, distill) used 12,345 augmented texts. {NOTE}"
    assert used(records) == (expected,)
    assert expected in table_of(records).notes


def test_other_counts_are_other_sentences(record):
    records = [record(task, "k", 0.7, stages=stages(count)) for task, count in (("alpha", 1), ("beta", 2))]
    assert len(used(records)) == 2
