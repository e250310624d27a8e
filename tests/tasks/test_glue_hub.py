from __future__ import annotations

import datasets
import pandas
import pytest

from bench.base.errors import DataError
from bench.spec.suite import Task, load_suite
from bench.tasks.data import load_data, settled
from bench.tasks.sources.table import source_of

GLUE = load_suite("glue")


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A function that lays out Parquet files as the hub's repository does and lets the source read them instead."""

    from_hub = datasets.load_dataset

    def lay_out(config, tables, *, names=None):
        root = tmp_path / "repository"
        files = []
        for split, table in tables.items():
            frame = pandas.DataFrame(table)
            features = datasets.Features.from_arrow_schema(datasets.Dataset.from_pandas(frame).features.arrow_schema)
            if names:
                features["label"] = datasets.ClassLabel(names=names)
            (root / config).mkdir(parents=True, exist_ok=True)
            path = root / config / f"{split}-00000-of-00001.parquet"
            datasets.Dataset.from_dict(frame.to_dict("list"), features=features).to_parquet(str(path))
            files.append(f"  - split: {split}\n    path: {config}/{split}-*\n")
        (root / "README.md").write_text(
            f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{''.join(files)}---\n", encoding="utf-8"
        )
        monkeypatch.setattr(datasets, "load_dataset", lambda _, *given, **named: from_hub(str(root), *given, **named))
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    datasets.disable_progress_bars()
    yield lay_out
    datasets.enable_progress_bars()


def load(name, **changes):
    task = GLUE.task(name).model_copy(update=changes)
    return source_of(task, where="here").load(task, data_dir=None)


def rows(data, split):
    return [(example.text, example.pair, example.label) for example in data.splits[split]]


def test_hub_tables_are_read_with_their_labels_and_revision(mirror):
    names = ["not_equivalent", "equivalent"]
    train = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [1, 0], "idx": [0, 1]}
    mirror("mrpc", {"train": train, "validation": {key: values[1:] for key, values in train.items()}}, names=names)
    data = load("mrpc")
    assert rows(data, "train") == [("a", "c", 1), ("b", "d", 0)]
    assert rows(data, "validation") == [("b", "d", 0)]
    assert data.revision == "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
    assert not data.generated
    assert "on the hub" in data.origin


def test_hub_labels_are_mapped_to_the_order_of_the_task(mirror):
    table = {"sentence1": ["a"], "sentence2": ["b"], "label": [0], "idx": [0]}
    mirror("rte", {"validation": table}, names=["entailment", "not_entailment"])
    changes = {"train": "validation", "labels": ("not_entailment", "entailment")}
    assert rows(load("rte", **changes), "validation") == [("a", "b", 1)]


def test_hidden_hub_labels_are_none(mirror):
    table = {"premise": ["a"], "hypothesis": ["b"], "label": [-1], "idx": [0]}
    mirror("ax", {"test": table}, names=["entailment", "neutral", "contradiction"])
    assert rows(load("ax"), "test") == [("a", "b", None)]


def test_hub_scores_are_floats_and_minus_one_is_hidden(mirror):
    table = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [3.8, -1.0], "idx": [0, 1]}
    mirror("stsb", {"validation": table})
    assert rows(load("stsb", train="validation"), "validation") == [("a", "c", pytest.approx(3.8)), ("b", "d", None)]


def test_hub_tables_with_other_labels_or_columns_are_refused(mirror):
    table = {"sentence": ["a"], "label": [0], "idx": [0]}
    mirror("sst2", {"validation": table}, names=["positive", "negative"])
    with pytest.raises(DataError, match="expected the labels negative, positive, found positive, negative"):
        load("sst2", train="validation")
    mirror("cola", {"validation": {"text": ["a"], "label": [0]}})
    with pytest.raises(DataError, match=r"no column sentence. Found: text, label"):
        load("cola", train="validation")


def test_the_hub_is_asked_for_the_pinned_revision_of_the_needed_splits_only(monkeypatch):
    asked = []

    def record(*given, **named):
        asked.append((given, named))
        return datasets.Dataset.from_dict({"sentence": ["a"], "label": [1]})

    monkeypatch.setattr(datasets, "load_dataset", record)
    load("sst2", trained_on="mnli")
    revision = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
    assert asked == [(("nyu-mll/glue", "sst2"), {"revision": revision, "split": "validation"})]


def test_without_the_hub_the_way_to_local_files_is_named(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"pass --data-dir FOLDER .* FOLDER/glue/RTE/train.tsv") as caught:
        load("rte")
    assert "nyu-mll/glue (rte, train) on the hub cannot be read" in str(caught.value)


def test_data_of_the_hub_are_described_in_a_task_with_other_names_of_splits_and_nested_fields(mirror):
    rows = {"asked": [{"of": "a", "n": 1}, {"of": "b", "n": 2}], "label": [1, 0]}
    mirror("plain", {"dev": rows}, names=["no", "yes"])
    hub = {"id": "some/reviews", "config": "plain", "splits": {"validation": "dev"}, "verified": False}
    data = {"hub": hub, "columns": {"uid": "asked.n", "text": "asked.of", "label": "label"}}
    given = {"name": "t", "kind": "classification", "metrics": ("accuracy",), "train": "validation", "data": data}
    task = settled(Task(**given), data_dir=None)
    assert task.labels == ("no", "yes")
    found = load_data(task, data_dir=None)
    assert [(each.uid, each.text, each.label) for each in found.splits["validation"]] == [("1", "a", 1), ("2", "b", 0)]
    assert found.notes == (
        "no revision of some/reviews is pinned, so the hub may give other rows later",
        "id and revision of some/reviews could not be verified when they were written down",
    )


@pytest.mark.network
@pytest.mark.skipif(datasets.config.HF_HUB_OFFLINE, reason="HF_HUB_OFFLINE is set")
def test_the_hub_has_the_official_rows_of_mrpc():
    data = load("mrpc")
    assert {split: len(examples) for split, examples in data.splits.items()} == {"train": 3668, "validation": 408}
