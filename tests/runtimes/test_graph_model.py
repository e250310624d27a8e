import copy

import pytest
import torch
from made_graphs import batch

from bench.artifacts import artifact
from bench.base.errors import ArtifactError, MethodError, ModelError
from bench.models.heads import head_of
from bench.runtimes.graph_model import GraphComparison, GraphModel

SHAPES = [(1, 1), (1, 7), (3, 20), (2, 64)]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("rows", "length"), SHAPES)
def test_a_graph_gives_what_its_model_gives_for_any_length_and_batch(classifier, rows, length, padded):
    model, graph = classifier
    inputs = batch(rows, length, padded=padded and length > 3)
    with torch.inference_mode():
        assert torch.allclose(graph(**inputs).logits, model(**inputs).logits, atol=1e-5)


def test_a_graph_is_called_as_its_model_and_has_its_head(classifier):
    model, graph = classifier
    inputs = batch(2, 5, types=False)
    with torch.inference_mode():
        told, said = model(**inputs), graph(**inputs)
    assert type(told) is type(said)
    assert torch.allclose(told.logits, said.logits, atol=1e-5)  # without token types both take zeros
    assert head_of(graph) == head_of(model)


def test_a_graph_is_opened_again_if_the_number_of_threads_changes(classifier):
    _, graph = classifier
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            torch.set_num_threads(threads)
            graph(**batch(1, 4))
            assert graph.session().executed().threads == threads
    finally:
        torch.set_num_threads(before)


def test_a_graph_is_saved_as_data_and_loaded_with_equal_outputs(classifier, tmp_path, tokenizer):
    _, graph = classifier
    compared = GraphComparison(examples=3, difference=1e-7, changed=0.0, exact=True)
    graph.compared_by(compared)
    hashed = artifact.save(graph, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a")
    inputs = batch(3, 11, padded=True)
    assert torch.equal(loaded.model(**inputs).logits, graph(**inputs).logits)
    assert loaded.content_hash == hashed
    assert loaded.model.graph.compared == compared
    assert not artifact.is_plain(tmp_path / "a")
    sizes = [(tmp_path / "a" / name).stat().st_size for name in (*graph.graph.files, "layers.json")]
    assert artifact.size_bytes(tmp_path / "a") == sum(sizes)
    assert artifact.save(loaded.model, tmp_path / "again", tokenizer=loaded.tokenizer) == hashed


def test_an_altered_graph_is_refused_before_a_runtime_sees_it(classifier, tmp_path, tokenizer):
    _, graph = classifier
    artifact.save(graph, tmp_path / "a", tokenizer=tokenizer)
    path = tmp_path / "a" / next(iter(graph.graph.files))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="altered or damaged"):
        artifact.load(tmp_path / "a")


def test_a_graph_cannot_be_changed_or_moved(classifier):
    _, graph = classifier
    with pytest.raises(MethodError, match="no method can change it"):
        copy.deepcopy(graph)
    with pytest.raises(ModelError, match="not on 'cuda'"):
        graph.to("cuda")
    assert graph.to("cpu") is graph


@pytest.mark.parametrize(
    ("head", "labels", "outputs", "message"),
    [
        ("sequence-classification", 5, None, r"output 'logits' is \[\?, 3\], but .* gives \[\?, 5\]"),
        ("question-answering", 3, None, "no output 'start_logits'"),
        ("question-answering", 3, ["logits"], "has 2 outputs"),
        ("masked-language-modelling", 3, None, r"output 'logits' is \[\?, 3\]"),
        ("translation", 3, None, "cannot have the head translation"),
        ("sequence-classification", 3, ["scores"], "no output 'scores'. It has: logits"),
    ],
)
def test_a_graph_that_does_not_fit_its_head_is_refused(classifier, head, labels, outputs, message):
    model, graph = classifier
    config = copy.deepcopy(model.config)
    config.num_labels = labels
    with pytest.raises(ModelError, match=message):
        GraphModel.from_files(graph.graph.runtime, graph.files, config, head, outputs)


def test_files_that_are_no_graph_are_refused(classifier):
    model, graph = classifier
    broken = dict.fromkeys(graph.files, b"no graph at all")
    with pytest.raises(ModelError, match=r"not an ONNX graph|cannot read it"):
        GraphModel.from_files(graph.graph.runtime, broken, model.config, "sequence-classification")
