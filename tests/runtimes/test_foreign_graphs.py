import pytest
import torch
from made_graphs import make, need

from bench.base.errors import ModelError
from bench.runtimes.graph_model import GraphModel


def graph(inputs=("input_ids",), *, shape=("batch", "length"), external=False, width=3):
    """An ONNX graph that adds a row of a table for every token: logits [batch, width]."""
    need("onnxruntime")
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.arange(100 * width, dtype=np.float32).reshape(100, width), "table")
    if external:
        table.data_location = TensorProto.EXTERNAL
        table.external_data.add(key="location", value="../../etc/passwd")
        table.ClearField("raw_data")
    axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
    nodes = [
        helper.make_node("Gather", ["table", inputs[0]], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["logits"], keepdims=0),
    ]
    body = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (shape[0], width))],
        [table, axes],
    )
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return {"model.onnx": made.SerializeToString()}


def opened(files, **options):
    return GraphModel.from_files("onnxruntime", files, make().config, "sequence-classification", **options)


def test_a_foreign_graph_is_called_as_a_model_of_its_configuration():
    model = opened(graph())
    ids = torch.tensor([[1, 2], [3, 4]])
    expected = torch.tensor([[9.0, 11.0, 13.0], [21.0, 23.0, 25.0]])
    assert torch.equal(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, expected)
    assert torch.equal(model(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits, expected)
    (table,) = model.operators().stored
    assert (table.counted.elements, table.counted.nonzero, table.looked_up) == (300, 299, True)


@pytest.mark.parametrize("name", ["attention_mask", "token_type_ids"])
def test_an_input_that_changes_the_answer_is_never_dropped(name):
    ids = torch.tensor([[1, 2]])
    told = {"attention_mask": torch.tensor([[1, 0]]), "token_type_ids": torch.tensor([[0, 1]])}
    with pytest.raises(ModelError, match=f"has no input '{name}', but the examples need one"):
        opened(graph())(input_ids=ids, **{name: told[name]})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"inputs": ("tokens",)}, "an input 'tokens'"),
        ({"inputs": ("input_ids", "past_key")}, "an input 'past_key'"),
        ({"shape": ("batch", 128)}, r"fixed shape \[\?, 128\]"),
        ({"shape": ("batch", "length", 2)}, r"int64 \[\?, \?, 2\], expected int64 or int32 \[batch, length\]"),
        ({"width": 7}, r"output 'logits' is \[\?, 7\], but .* gives \[\?, 3\]"),
        ({"external": True}, "keeps tensors in another file"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_what_was_found(files, message):
    with pytest.raises(ModelError, match=message):
        opened(graph(**files))


def test_external_data_is_found_in_a_constant_inside_a_branch(tmp_path):
    need("onnxruntime")
    from onnx import TensorProto, helper

    from bench.runtimes.onnx_files import refuse_external

    hidden = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1])
    hidden.data_location = TensorProto.EXTERNAL
    branch = helper.make_graph([helper.make_node("Constant", [], ["x"], value=hidden)], "branch", [], [])
    body = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=branch)], "made", [], [])
    path = tmp_path / "given.onnx"
    path.write_bytes(helper.make_model(body).SerializeToString())
    with pytest.raises(ModelError, match="another file"):
        refuse_external(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="empty file"):
        refuse_external(path)
