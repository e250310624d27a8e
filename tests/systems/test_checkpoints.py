"""Checkpoints and artifacts as systems: filed with their own weights and size, and refused if they do not fit."""

import json
from pathlib import Path

import pytest
import torch
from made_checkpoints import demo_tokenizer, write_checkpoint
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

import bench
from bench.artifacts.artifact import load
from bench.artifacts.store import Store
from bench.base.errors import ArtifactError, BenchError, ModelError
from bench.spec.suite import load_suite
from bench.systems.opening import open_system
from bench.systems.system import TaskOf, Wishes
from bench.tasks.data import load_data
from bench.tasks.evaluate import predict

SUITE = load_suite("demo")
TASK = SUITE.task("sentiment")


@pytest.fixture(scope="module")
def data():
    return load_data(TASK, data_dir=None)


@pytest.fixture
def filed(data, tmp_path):
    """A function that files a system and gives it as it was loaded again, with what was found of it."""

    def put(system, wishes=None, *, tokenizer=None, task=TASK):
        store = Store(tmp_path / "cache")
        (tmp_path / "scratch").mkdir(exist_ok=True)
        opened = open_system(system, wishes or Wishes(), tmp_path / "scratch", tokenizer=tokenizer)
        found = opened.file(TaskOf(task, SUITE, data), store)
        return load(store.path("artifacts", found.key)), found.fit, opened.stated()

    return put


def logits(folder, data):
    """What transformers itself says of the evaluation examples, with the outputs in the order of the file."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = demo_tokenizer()
    with torch.inference_mode():
        rows = [
            model(**tokenizer(each.text, return_tensors="pt", truncation=True, max_length=64)).logits[0]
            for each in data.splits["validation"]
        ]
    return torch.stack(rows)


def said(loaded, data):
    options = {"task": TASK, "max_length": 64, "token_budget": 512, "device": "cpu"}
    return torch.tensor(predict(loaded.model, loaded.tokenizer, data.splits["validation"], **options).logits).float()


@pytest.mark.parametrize("names", [("negative", "positive"), ("positive", "negative")])
def test_what_is_filed_says_what_transformers_says_by_the_names_of_the_outputs(filed, data, tmp_path, names):
    folder = write_checkpoint(tmp_path / "model", names)
    loaded, _, stated = filed(folder)
    by_name = logits(folder, data)[:, [names.index(label) for label in TASK.labels]]
    torch.testing.assert_close(said(loaded, data), by_name, atol=1e-5, rtol=1e-5)
    assert (stated.form, stated.name) == ("checkpoint", "model")


def test_labels_from_the_user_name_outputs_that_have_no_names(filed, data, tmp_path):
    folder = write_checkpoint(tmp_path / "model", ("LABEL_0", "LABEL_1"))
    with pytest.raises(ModelError, match="--labels negative,positive"):
        filed(folder)
    loaded, _, stated = filed(folder, Wishes(labels=("positive", "negative")))
    torch.testing.assert_close(said(loaded, data), logits(folder, data)[:, [1, 0]], atol=1e-5, rtol=1e-5)
    assert stated.about == {"outputs": ["positive", "negative"]}


def test_a_narrower_and_a_shallower_model_keep_their_own_sizes(filed, tmp_path):
    sizes = {"num_hidden_layers": 1, "intermediate_size": 24}
    loaded, _, _ = filed(write_checkpoint(tmp_path / "small", **sizes))
    held = sum(tensor.numel() for tensor in load_file(tmp_path / "small" / "model.safetensors").values())
    assert sum(parameter.numel() for parameter in loaded.model.parameters()) == held
    assert (loaded.model.config.num_hidden_layers, loaded.model.config.intermediate_size) == (1, 24)


def test_heads_that_the_configuration_cannot_say_are_refused_with_both_shapes(filed, tmp_path):
    folder = Path(write_checkpoint(tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    rows = weights[name].size(0) // 2
    save_file({**weights, name: weights[name][:rows].clone()}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"'{name}' is \[{rows}, .* in the file and .* by config.json"):
        filed(folder)


def test_half_precision_is_told_as_what_is_not_measured(filed, tmp_path):
    _, fit, _ = filed(write_checkpoint(tmp_path / "model", half=True))
    held = sum(tensor.numel() for tensor in load_file(tmp_path / "model" / "model.safetensors").values())
    (says,) = (says for code, says in fit.warnings if code == "system-widened")
    assert f"{2 * held:,} bytes more" in says


def test_an_artifact_is_filed_as_it_is_with_how_it_was_made(filed, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(write_checkpoint(tmp_path / "model")).eval()
    bench.save_artifact(model, tmp_path / "artifact", tokenizer=demo_tokenizer())
    loaded, _, stated = filed(tmp_path / "artifact")
    assert loaded.content_hash == bench.load_artifact(tmp_path / "artifact").content_hash == stated.fingerprint
    assert loaded.manifest == bench.load_artifact(tmp_path / "artifact").manifest


def test_a_module_and_a_pipeline_are_what_their_folder_is(filed, tmp_path):
    from transformers import pipeline

    model = AutoModelForSequenceClassification.from_pretrained(write_checkpoint(tmp_path / "model")).eval()
    plain, _, stated = filed(model, tokenizer=demo_tokenizer())
    assert (stated.form, stated.name) == ("model", "BertForSequenceClassification")
    other, _, _ = filed(write_checkpoint(tmp_path / "again"))
    mine, its = plain.model.state_dict(), other.model.state_dict()
    assert mine.keys() == its.keys()
    assert all(torch.equal(mine[name], its[name]) for name in mine)
    (tmp_path / "scratch" / "given").rename(tmp_path / "old")
    piped, _, _ = filed(pipeline("text-classification", model=model, tokenizer=demo_tokenizer()))
    assert piped.content_hash == plain.content_hash


def test_a_tokenizer_of_another_folder_is_used_and_is_part_of_the_fingerprint(filed, tmp_path):
    folder, other = Path(write_checkpoint(tmp_path / "model")), tmp_path / "tokenizer"
    whole = filed(folder)[0]
    other.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(other / name)
    with pytest.raises(ModelError, match="no tokenizer"):
        filed(folder)
    loaded, _, stated = filed(folder, Wishes(tokenizer=other))
    assert loaded.content_hash == whole.content_hash
    assert stated.name == "model"


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(pooling="cls"), "--pooling cls: task sentiment compares no vectors"),
        (Wishes(labels=("fresh",)), "a system is scored with its own head"),
        (Wishes(labels=("joy", "anger")), "--labels calls them joy, anger"),
        (Wishes(tokenizer=Path("nowhere")), "--tokenizer nowhere: no such folder"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(filed, tmp_path, wishes, message):
    with pytest.raises(ModelError, match=message):
        filed(write_checkpoint(tmp_path / "model"), wishes)


def test_a_checkpoint_without_the_head_of_the_task_is_refused(filed, tmp_path):
    with pytest.raises(ModelError, match="no trained head for a classification task with 2 labels"):
        filed(write_checkpoint(tmp_path / "model", ("a", "b", "c")))


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "exl2", "torchao", "compressed-tensors"])
def test_a_quantized_checkpoint_is_refused_by_the_name_of_its_method(filed, tmp_path, method):
    folder = Path(write_checkpoint(tmp_path / "model"))
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "quantization_config": {"quant_method": method}}))
    with pytest.raises(ModelError, match=rf"quantized by {method}.*Supported"):
        filed(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_numbers_with_scales_and_no_configuration_are_refused_and_never_become_floats(filed, tmp_path, dtype):
    folder = Path(write_checkpoint(tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.output.dense.weight"
    scaled = {**weights, name: weights[name].to(dtype), f"{name}_scale": torch.ones(1)}
    save_file(scaled, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"'{name}' .* the weights are quantized, but config.json does not say how"):
        filed(folder)


def test_an_artifact_that_was_altered_is_refused(filed, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(write_checkpoint(tmp_path / "model")).eval()
    bench.save_artifact(model, tmp_path / "artifact", tokenizer=demo_tokenizer())
    (tmp_path / "artifact" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises((ArtifactError, BenchError), match=r"model\.safetensors"):
        filed(tmp_path / "artifact")
