import pytest
import torch

from bench.base.errors import MethodError, SuiteError, UnavailableError
from bench.layers.int8 import Int8Linear
from bench.methods.export.export import Export
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.methods.shrink.shrink import Shrink
from bench.plan.recipes import check_possible, load_recipe
from bench.runtimes.runtime import RUNTIMES, runtime_of
from bench.spec.recipe import recipe_names


def randomized(model):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.fixture
def openvino():
    pytest.importorskip("openvino", reason="runtime 'openvino' is not installed: pip install 'bench[openvino]'")


def test_a_graph_is_compared_with_its_model_on_training_examples(openvino, make_lab, tiny_bert, state_of):
    model, lab = randomized(tiny_bert(layers=2)), make_lab(examples=40)
    before = state_of(model)
    made = Export(runtime="openvino").compress(model, lab)
    assert made.graph.compared.difference < 1e-4
    assert (made.graph.compared.examples, made.graph.compared.changed, made.graph.compared.exact) == (32, 0.0, True)
    assert made.graph.layers == 2
    assert lab.notes == []
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def narrowed(model, lab):
    from bench.methods.prune.prune import Prune

    return Shrink().compress(Prune(unit="neuron", sparsity=0.5, budget=0.0).compress(model, lab), lab)


STAGES = {
    "shared": lambda model, lab: Share(budget=0.0).compress(model, lab),
    "low-rank": lambda model, lab: Factorize(ratio=0.25, budget=0.0).compress(model, lab),
    "narrowed": narrowed,
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_graph_of_another_form_computes_the_same_and_stores_no_more(stage, openvino, make_lab, tiny_bert):
    from bench.measures.storage.parameters import counted

    lab = make_lab()
    model = STAGES[stage](randomized(tiny_bert(layers=2)), lab)
    made = Export(runtime="openvino").compress(model, lab)
    assert made.graph.compared.exact
    assert made.graph.compared.difference < 1e-4
    assert counted(made) == counted(model)


def test_packed_layers_become_floats_and_the_notes_say_so(openvino, make_lab, tiny_bert):
    lab = make_lab()
    model = Quantize().compress(randomized(tiny_bert(layers=1)), lab)
    packed = sum(isinstance(module, Int8Linear) for module in model.modules())
    made = Export(runtime="openvino").compress(model, lab)
    assert lab.notes[0].startswith(f"{packed} modules stored as int8-linear are plain float32 in the graph")
    assert not made.graph.compared.exact
    assert 0 < made.graph.compared.difference < 0.2  # what rounding the inputs to 8 bits changed


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_onnx_composes_too(stage, make_lab, tiny_bert):
    from bench.measures.storage.parameters import counted

    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    lab = make_lab()
    model = STAGES[stage](randomized(tiny_bert(layers=2)), lab)
    made = Export(runtime="onnxruntime").compress(model, lab)
    assert made.graph.compared.difference < 1e-4
    assert counted(made) == counted(model)


def test_a_model_of_adaptive_depth_and_one_in_integers_are_refused(openvino, make_lab, tiny_bert):
    from bench.methods.exit.exits import TrainExits
    from bench.methods.quantize.integer import Integer

    lab = make_lab(epochs=0.1)
    adaptive = TrainExits(budget=0.0).compress(tiny_bert(layers=2), lab)
    with pytest.raises(MethodError, match="the model decides for each input how many layers"):
        Export(runtime="openvino").compress(adaptive, lab)
    integers = Integer().compress(tiny_bert(layers=1), lab)
    with pytest.raises(MethodError, match="products of integers that no runtime here takes over"):
        Export(runtime="openvino").compress(integers, lab)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "openvinno"}, "Did you mean 'openvino'"),
        ({"runtime": "onnxruntime", "precision": "bfloat16"}, "has no precision 'bfloat16'"),
        ({"runtime": "openvino", "quantize": "dynamic"}, "has no quantization 'dynamic'; it has none, static"),
        ({"runtime": "compile", "quantize": "static"}, "has no quantization 'static'; it has none"),
    ],
)
def test_what_a_runtime_does_not_have_is_refused_when_the_recipe_is_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        Export(**arguments)


def test_nothing_follows_an_export(tmp_path):
    recipe = tmp_path / "late.toml"
    recipe.write_text(
        'title = "t"\nfamily = "runtime"\ncite = "c"\n[[stages]]\nmethod = "export"\nruntime = "openvino"\n'
        '[[stages]]\nmethod = "quantize"\n'
    )
    with pytest.raises(SuiteError, match=r"stage 1 \(export\) gives a model that no method can change"):
        load_recipe(str(recipe))


def test_what_is_missing_is_said_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr("bench.runtimes.runtime.find_spec", lambda name: None if name == "nncf" else object())
    with pytest.raises(UnavailableError, match=r"stage 1 \(export\): .* needs nncf.*pip install 'bench\[openvino\]'"):
        check_possible(load_recipe("openvino"), heads=["sequence-classification"], device="cpu")
    monkeypatch.undo()
    if RUNTIMES.get("openvino")().missing(making=True) is None:
        with pytest.raises(UnavailableError, match="cannot have the head translation"):
            check_possible(load_recipe("openvino"), heads=["translation"], device="cpu")
        with pytest.raises(UnavailableError, match="the device is 'cuda'"):
            check_possible(load_recipe("openvino"), heads=["sequence-classification"], device="cuda")


def test_compile_keeps_the_modules(make_lab, tiny_bert, monkeypatch):
    monkeypatch.setenv("CXX", "c++")
    model = tiny_bert(layers=1)
    made = Export(runtime="compile").compress(model, make_lab())
    assert (runtime_of(model), runtime_of(made)) == ("eager", "compile")
    assert made.state_dict().keys() == model.state_dict().keys()


def test_every_runtime_of_bench_has_a_recipe():
    used = set()
    for name in recipe_names():
        stages = load_recipe(name).stages
        used |= {stage.arguments["runtime"] for stage in stages if stage.method == "export"}
    assert used == set(RUNTIMES.names()) - {"eager"}
