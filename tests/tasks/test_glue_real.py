from __future__ import annotations

import json

import numpy as np
import pytest

from bench.spec.data import Source, read_dataset
from bench.spec.suite import Task, load_suite
from bench.tasks.data import load_data
from bench.tasks.examples import Answer, Example
from bench.tasks.kinds.kind import KINDS

pytestmark = pytest.mark.shared
GLUE = load_suite("glue")

# Official sizes (Wang et al. 2019, table 1, and each data set's own count); test labels are hidden but for MRPC's.
ROWS = {
    "cola": {"train": 8551, "validation": 1043, "test": 1063},
    "sst2": {"train": 67349, "validation": 872},
    "mrpc": {"train": 3668, "validation": 408, "test": 1725},
    "stsb": {"train": 5749, "validation": 1500, "test": 1379},
    "mnli": {"validation_matched": 9815},
    "qnli": {"validation": 5463, "test": 5463},
    "rte": {"train": 2490, "validation": 277, "test": 3000},
    "wnli": {"train": 635, "validation": 71, "test": 146},
    "ax": {"test": 1104},
}


@pytest.mark.parametrize("name", ROWS)
def test_real_glue_files_load_with_the_official_row_counts(name, real_data):
    task = GLUE.task(name).model_copy(
        update={"train": next(iter(ROWS[name])), "evaluate": tuple(ROWS[name]), "trained_on": None}
    )
    data = load_data(task, data_dir=real_data)
    assert {split: len(examples) for split, examples in data.splits.items()} == ROWS[name]
    paired = "pair" in read_dataset(f"glue/{name}").columns
    for split, examples in data.splits.items():
        hidden = split == "test" and name not in ("mrpc", "ax")
        assert all((example.label is None) == hidden for example in examples)
        assert all((example.pair is not None) == paired for example in examples)


@pytest.mark.parametrize(
    ("name", "label", "share"),
    [("mrpc", "equivalent", 279 / 408), ("rte", "entailment", 146 / 277), ("cola", "acceptable", 721 / 1043)],
)
def test_real_labels_have_the_known_majority(name, label, share, real_data):
    task = GLUE.task(name).model_copy(update={"train": "validation"})
    labels = [example.label for example in load_data(task, data_dir=real_data).splits["validation"]]
    assert np.mean([task.labels[found] == label for found in labels]) == pytest.approx(share)


def test_the_original_mrpc_file_is_read_past_its_byte_order_mark(real_data):
    given = {"source": "glue", "subset": "mrpc", "files": {"train": "msr_paraphrase_train.txt"}}
    task = GLUE.task("mrpc").model_copy(update={"data": Source(**given), "evaluate": ("train",)})
    assert len(load_data(task, data_dir=real_data).splits["train"]) == 4076


def test_gold_spans_of_real_squad_give_back_their_answers(real_data, tokenizer):
    articles = json.loads((real_data / "squad" / "dev-v1.1.json").read_text(encoding="utf-8"))["data"]
    examples = [
        Example(
            uid=asked["id"],
            text=asked["question"],
            pair=paragraph["context"],
            answers=tuple(Answer(answer["text"], answer["answer_start"]) for answer in asked["answers"]),
        )
        for paragraph in articles[0]["paragraphs"][:40]
        for asked in paragraph["qas"]
    ]
    kind = KINDS.get("span_qa")
    task = Task(name="squad", kind="span_qa", metrics=("f1",), data={"source": "s", "subset": "squad"})
    features = kind.encode(examples, tokenizer, task=task, max_length=128, training=True)
    assert {feature.example for feature in features} == set(range(len(examples)))
    outputs = [
        tuple(
            np.where(np.arange(len(feature.inputs["input_ids"])) == place, 9.0, -9.0)
            for place in feature.targets.values()
        )
        for feature in features
    ]
    scores = kind.score(kind.predict(outputs, features, examples), examples, ["exact_match", "f1"])
    # 14 of these 634 answers stand inside a word ("gold" in "golden"), which whole-word tokens cannot cut out
    assert scores["exact_match"] == pytest.approx(620 / 634)
    assert scores["f1"] >= scores["exact_match"]
