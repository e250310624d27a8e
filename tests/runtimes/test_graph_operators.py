import pytest
import torch
from made_graphs import GRAPHS, batch, graph_of, make, need

from bench.measures.computation.trace import trace
from bench.measures.storage.parameters import counted
from bench.measures.storage.theory import claimed_bytes, resident_bytes, theoretical_bytes
from bench.runtimes.graph_model import GraphModel
from bench.runtimes.runtime import graph_runtime


def check(model, graph):
    told, said = trace(model, batch(1, 16)), trace(graph, batch(1, 16))
    assert (said.macs, said.bops, said.coverage) == (told.macs, told.bops, 1.0)
    assert said.macs_effective() == told.macs_effective()
    assert counted(graph) == counted(model)
    assert claimed_bytes(graph) == claimed_bytes(model)
    assert theoretical_bytes(graph) == resident_bytes(graph) > claimed_bytes(graph)


def test_a_graph_has_the_multiply_adds_that_its_model_traces_and_its_parameters(classifier):
    check(*classifier)


OTHERS = ["BertForMaskedLM", "BertForQuestionAnswering"]
RUNS = [pytest.param("openvino", name) for name in OTHERS]
RUNS += [pytest.param("onnxruntime", name, marks=pytest.mark.slow) for name in OTHERS]


@pytest.mark.parametrize(("runtime", "architecture"), RUNS)
def test_a_tied_softmax_and_a_span_head_are_equal_and_stored_once(runtime, architecture):
    need(runtime)
    model = make(architecture)
    graph = graph_of(model, runtime)
    check(model, graph)
    for rows, length, padded in ((1, 7, False), (3, 20, True)):
        inputs = batch(rows, length, padded=padded)
        with torch.inference_mode():
            told, said = model(**inputs), graph(**inputs)
        assert type(told) is type(said)
        for name in said:
            assert torch.allclose(told[name], said[name], atol=1e-4)


@pytest.mark.parametrize(
    ("runtime", "how"), [("onnxruntime", "dynamic"), ("onnxruntime", "static"), ("openvino", "static")]
)
def test_a_quantized_graph_stores_and_multiplies_eight_bits(runtime, how, request):
    need(runtime)
    if runtime == "openvino":
        pytest.importorskip("nncf")
    model = make()
    graph = graph_of(model, runtime) if runtime == "openvino" else _onnx(request)
    calibration = [batch(1, length) for length in range(4, 40)]
    files = graph_runtime(runtime).quantize(graph.files, how, calibration, reduce_range=True)
    made = GraphModel.from_files(runtime, files, model.config, graph.graph.head, layers=1)
    said, plain = trace(made, batch(1, 16)), trace(graph, batch(1, 16))
    assert said.macs == plain.macs
    assert said.bops < 0.5 * plain.bops
    matrices = [each for each in made.operators().stored if each.dtype in ("int8", "uint8")]
    assert sum(each.counted.elements for each in matrices) >= 4 * 32 * 32 + 2 * 32 * 64  # the layer's six
    added = counted(made).params - counted(graph).params
    assert added == 0 if runtime == "onnxruntime" else 0 <= added < 0.02 * counted(graph).params  # smooth quantization
    assert sum(map(len, made.files.values())) < sum(map(len, graph.files.values())) or runtime == "openvino"
    inputs = batch(3, 12, padded=True)
    with torch.inference_mode():
        assert (made(**inputs).logits - model(**inputs).logits).abs().max() < 0.5 * model(**inputs).logits.std()
    assert any("Integer" in name or "QLinear" in name or "8" in name for name in made.session().executed().products)


@pytest.fixture(scope="module")
def onnx_graph():
    need("onnxruntime")
    return graph_of(make(), "onnxruntime")


def _onnx(request):
    return request.getfixturevalue("onnx_graph")


def test_zeros_of_a_masked_model_are_zeros_in_its_graph():
    need("openvino")
    model = make()
    with torch.no_grad():
        model.bert.encoder.layer[0].intermediate.dense.weight[::2] = 0
    graph = graph_of(model, "openvino")
    check(model, graph)
    assert counted(graph).params - counted(graph).params_nonzero == 32 * 32


def test_every_runtime_that_reads_graphs_is_tested_here():
    from bench.runtimes.runtime import RUNTIMES, GraphRuntime

    assert {name for name, each in RUNTIMES.items() if issubclass(each, GraphRuntime)} == set(GRAPHS)
