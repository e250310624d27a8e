"""Graphs that torch exported in the test: run beside the model that they were made from, and refused if they misfit."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from made_checkpoints import write_checkpoint
from transformers import AutoModelForSequenceClassification

from bench.artifacts.artifact import load
from bench.artifacts.store import Store
from bench.base.errors import ModelError
from bench.spec.suite import load_suite
from bench.systems.opening import open_system
from bench.systems.system import TaskOf, Wishes
from bench.tasks.data import load_data
from bench.tasks.evaluate import predict

pytest.importorskip("onnxruntime", reason="graphs of ONNX need onnxruntime")
pytest.importorskip("onnxscript", reason="torch exports to ONNX with onnxscript")

SUITE = load_suite("demo")
TASK = SUITE.task("sentiment")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture(scope="module")
def data():
    return load_data(TASK, data_dir=None)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a checkpoint whose outputs are called positive and negative, in this order."""
    return Path(write_checkpoint(tmp_path_factory.mktemp("made") / "model", ("positive", "negative")))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """A folder with the graph that torch makes of it, and its configuration and tokenizer."""
    folder = tmp_path_factory.mktemp("exported") / "bert-onnx"
    folder.mkdir()
    net = AutoModelForSequenceClassification.from_pretrained(model).eval()
    net.config.return_dict = False
    rows, length = torch.export.Dim("rows"), torch.export.Dim("length", max=128)
    ids = torch.arange(18).view(2, 9)
    given = (ids, torch.ones_like(ids), torch.zeros_like(ids))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about its own ways
        torch.onnx.export(
            net,
            given,
            str(folder / "model.onnx"),
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_shapes={name: {0: rows, 1: length} for name in _INPUTS},
        )
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((model / name).read_bytes())
    return folder


@pytest.fixture
def filed(data, tmp_path):
    def put(system, **wishes):
        store = Store(tmp_path / "cache")
        opened = open_system(system, Wishes(**wishes), tmp_path)
        found = opened.file(TaskOf(TASK, SUITE, data), store)
        return load(store.path("artifacts", found.key)), opened.stated()

    return put


def said(model, tokenizer, data):
    options = {"task": TASK, "max_length": 64, "token_budget": 512, "device": "cpu"}
    return torch.tensor(predict(model, tokenizer, data.splits["validation"], **options).logits)


def test_a_graph_says_what_transformers_says_by_the_names_of_the_outputs(filed, exported, model, data):
    loaded, stated = filed(exported)
    assert (stated.form, stated.name) == ("onnxruntime", "bert-onnx")
    net = AutoModelForSequenceClassification.from_pretrained(model).eval()
    turned = said(net, loaded.tokenizer, data)[:, [1, 0]]  # the task's labels are negative, positive
    torch.testing.assert_close(said(loaded.model, loaded.tokenizer, data), turned, atol=1e-4, rtol=1e-4)


def test_labels_of_the_user_stand_for_those_of_the_configuration(filed, exported, data):
    plain, _ = filed(exported)
    other, _ = filed(exported / "model.onnx", labels=("negative", "positive"))
    torch.testing.assert_close(
        said(other.model, other.tokenizer, data), said(plain.model, plain.tokenizer, data)[:, [1, 0]]
    )


def copied(folder, target, *without):
    target.mkdir()
    for path in folder.iterdir():
        if path.name not in without:
            (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_graph_without_a_configuration_or_a_tokenizer_takes_those_of_another_folder(
    filed, exported, model, tmp_path, data
):
    bare = copied(exported, tmp_path / "bare", "config.json", "tokenizer.json", "tokenizer_config.json")
    with pytest.raises(ModelError, match="--tokenizer"):
        filed(bare)
    loaded, _ = filed(bare, tokenizer=model)
    whole, _ = filed(exported)
    assert torch.equal(said(loaded.model, loaded.tokenizer, data), said(whole.model, whole.tokenizer, data))
    with pytest.raises(ModelError, match="no tokenizer files"):
        filed(copied(exported, tmp_path / "mute", "tokenizer.json", "tokenizer_config.json"))


def test_an_artifact_that_holds_a_graph_is_filed_as_it_is(filed, exported, data, tmp_path):
    loaded, _ = filed(exported)
    again, told = filed(loaded.directory)
    assert (told.form, told.fingerprint) == ("artifact", loaded.content_hash)
    assert again.content_hash == loaded.content_hash
    assert torch.equal(said(again.model, again.tokenizer, data), said(loaded.model, loaded.tokenizer, data))
    with pytest.raises(ModelError, match="not in the order of the task's labels"):
        filed(loaded.directory, labels=("positive", "negative"))


def test_several_graphs_in_a_folder_are_told_apart_by_the_user(filed, exported, tmp_path):
    folder = copied(exported, tmp_path / "two")
    (folder / "quantized.onnx").write_bytes((folder / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"several graphs: model.onnx, quantized.onnx. Name the file"):
        filed(folder)
    assert filed(folder / "quantized.onnx")[1].name == "quantized"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("LABEL_0", "LABEL_1"), "--labels negative,positive"),
        (("a", "b", "c"), "config.json calls them a, b, c"),
    ],
)
def test_outputs_that_cannot_be_told_are_refused(filed, exported, tmp_path, names, message):
    folder = copied(exported, tmp_path / "other")
    settings = json.loads((folder / "config.json").read_text())
    tables = {"id2label": dict(enumerate(names)), "label2id": {name: row for row, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps({**settings, **tables}))
    with pytest.raises(ModelError, match=message):
        filed(folder)


def test_a_file_that_is_no_graph_is_refused(filed, exported, tmp_path):
    folder = copied(exported, tmp_path / "broken")
    (folder / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="not an ONNX graph"):
        filed(folder)


def test_an_openvino_graph_without_its_weights_is_refused(filed, exported, tmp_path):
    pytest.importorskip("openvino", reason="graphs of OpenVINO need openvino")
    folder = copied(exported, tmp_path / "ir", "model.onnx")
    (folder / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"its weights are in openvino_model.bin, which is not beside it"):
        filed(folder)


def test_an_openvino_graph_says_what_the_model_says(filed, exported, data, tmp_path):
    openvino = pytest.importorskip("openvino", reason="graphs of OpenVINO need openvino")
    folder = copied(exported, tmp_path / "ir", "model.onnx")
    net = openvino.Core().read_model(str(exported / "model.onnx"))
    openvino.save_model(net, str(folder / "openvino_model.xml"), compress_to_fp16=False)
    loaded, stated = filed(folder)
    plain, _ = filed(exported)
    assert (stated.form, stated.name) == ("openvino", "ir")
    # OpenVINO may run bfloat16 by itself, whose numbers have 8 bits.
    torch.testing.assert_close(
        said(loaded.model, loaded.tokenizer, data), said(plain.model, plain.tokenizer, data), atol=0.1, rtol=0.1
    )
