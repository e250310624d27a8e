"""Model sources: what is opened, what is refused, and that fresh weights depend on the seed alone."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from families import ENCODERS, make, same_outputs, same_state, state

from bench.artifacts import artifact
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.layers.factorized import FactorizedLinear
from bench.models.adapter import adapter_for
from bench.models.source import spread
from bench.models.tokenizer import write_tokenizer


@pytest.fixture
def checkpoint(tmp_path, tokenizer):
    """A function that saves a model as a checkpoint directory with a tokenizer and gives its path as text.

    Its outputs are called a, b, c, ...
    """

    def write(model, name="model"):
        model.config.id2label = dict(enumerate("abcdefgh"[: model.config.num_labels]))
        model.save_pretrained(tmp_path / name)
        write_tokenizer(tokenizer, tmp_path / name)
        return str(tmp_path / name)

    return write


def no_texts():
    raise AssertionError("a checkpoint has its own tokenizer")


def build(source, *, head="sequence-classification", labels=("a", "b"), seed=0, **options):
    return source.build(head=head, labels=labels, tokenizer=source.tokenizer(no_texts), seed=seed, **options)


@pytest.mark.parametrize("family", ENCODERS)
def test_a_checkpoint_with_a_fitting_head_is_loaded_as_it_is(family, checkpoint):
    model = make(family, labels=2)
    source = open_source(checkpoint(model))
    assert (source.kind, source.revision) == ("directory", None)
    built = build(source)
    assert same_outputs(built, model)
    assert built.config.id2label == {0: "a", 1: "b"}
    assert not built.training
    # Kernels sum in an order that depends on the address: loaded models and their copies must be aligned alike.
    assert {parameter.data_ptr() % 64 for parameter in built.parameters()} == {0}


@pytest.mark.parametrize("family", ENCODERS)
def test_a_new_head_depends_on_the_seed_alone_and_the_encoder_stays(family, checkpoint, capfd, caplog):
    model = make(family, labels=2)
    source = open_source(checkpoint(model))
    capfd.readouterr()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = build(source, labels=("a", "b", "c"), seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    two, other = build(source, labels=("a", "b", "c"), seed=7), build(source, labels=("a", "b", "c"), seed=8)
    assert same_state(one, state(two))
    assert not same_state(one, state(other))
    base = model.base_model_prefix
    assert same_state(getattr(one, base), state(getattr(model, base)))
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_the_level_of_transformers_messages_is_restored(checkpoint):
    from transformers.utils import logging as chatter

    chatter.set_verbosity(logging.INFO)
    try:
        build(open_source(checkpoint(make("bert"))))
        assert chatter.get_verbosity() == logging.INFO
    finally:
        chatter.set_verbosity(logging.WARNING)


@pytest.mark.parametrize(
    ("head", "labels", "outputs", "problem"),
    [
        ("sequence-classification", None, 1, "regression"),
        ("sequence-classification", ("a", "b", "c"), 3, "single_label_classification"),
        ("question-answering", None, 2, None),
    ],
)
@pytest.mark.parametrize("pretrained", [True, False])
def test_the_head_fits_the_task(head, labels, outputs, problem, pretrained, checkpoint):
    source = open_source(checkpoint(make("bert", labels=5)))
    model = build(source, head=head, labels=labels, pretrained=pretrained)
    assert (model.config.num_labels, model.config.problem_type) == (outputs, problem)
    last = model.qa_outputs if head == "question-answering" else model.classifier
    assert last.out_features == outputs


@pytest.mark.parametrize(
    ("depth", "layers", "kept"),
    [
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (3, 6, [1, 3, 5]),
        (2, 6, [2, 5]),
        (1, 6, [5]),
        (4, 6, [1, 2, 3, 5]),
        (5, 12, [1, 4, 6, 9, 11]),
    ],
)
def test_kept_layers_are_spread_evenly_and_end_with_the_last(depth, layers, kept):
    assert spread(depth, layers) == kept


@pytest.mark.parametrize("depth", [0, 5, -1])
def test_a_depth_that_the_model_does_not_have_is_refused(depth):
    with pytest.raises(ModelError, match="give 1 to 4"):
        spread(depth, 4)


def test_a_shallower_model_has_the_weights_of_the_kept_layers(checkpoint):
    model = make("roberta", labels=2)
    shallow = build(open_source(checkpoint(model)), depth=2)
    layers = adapter_for(model).layers(model)
    for kept, layer in zip((1, 3), adapter_for(shallow).layers(shallow), strict=True):
        assert same_state(layer, state(layers[kept]))
    assert shallow.config.num_hidden_layers == 2


def test_without_pretrained_weights_all_are_random_and_depend_on_the_seed(checkpoint):
    model = make("electra", labels=2)
    source = open_source(checkpoint(model))
    one, two = (build(source, pretrained=False, seed=3, depth=2) for _ in range(2))
    assert same_state(one, state(two))
    name = "electra.embeddings.word_embeddings.weight"
    assert not torch.equal(one.state_dict()[name], model.state_dict()[name])
    assert adapter_for(one).depth(one) == 2


def test_half_precision_checkpoints_are_built_in_float32(checkpoint):
    source = open_source(checkpoint(make("bert", labels=2).half()))
    for pretrained in (True, False):
        assert {p.dtype for p in build(source, pretrained=pretrained).parameters()} == {torch.float32}


def test_the_fingerprint_follows_weights_and_configuration(checkpoint):
    one, same, other = (open_source(checkpoint(make("bert", seed=s), n)) for s, n in ((0, "x"), (0, "y"), (1, "z")))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    path = same.directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "layer_norm_eps": 0.1}))
    assert one.fingerprint() != same.fingerprint()


def test_an_artifact_is_a_source(tmp_path, tokenizer):
    model = make("bert", labels=2)
    model.config.id2label = {0: "a", 1: "b"}
    digest = artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    source = open_source(str(tmp_path / "a"))
    assert (source.kind, source.fingerprint()) == ("artifact", digest)
    assert same_outputs(build(source), model)
    assert adapter_for(build(source, pretrained=False, depth=1)).depth(build(source, depth=1)) == 1
    assert build(source, labels=("a", "b", "c")).config.num_labels == 3  # a plain artifact may have another head


def test_an_artifact_of_other_forms_keeps_its_head(tmp_path, tokenizer):
    model = make("bert", labels=2)
    model.classifier = FactorizedLinear(32, 2, 1)
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    with pytest.raises(ModelError, match="head with 2 outputs, the task needs sequence-classification with 3"):
        build(open_source(str(tmp_path / "a")), labels=("a", "b", "c"))


def break_pickle(path):
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def break_weights(path):
    (path / "model.safetensors").unlink()


def break_tokenizer(path):
    (path / "tokenizer.json").unlink()


def break_config(path):
    (path / "config.json").unlink()


def break_json(path):
    (path / "config.json").write_text("{")


def break_type(path):
    (path / "config.json").write_text('{"model_type": "gpt2"}')


def break_nothing_named(path):
    (path / "config.json").write_text("[]")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_pickle, r"its weights are a pickle \(pytorch_model\.bin\).*save_pretrained"),
        (break_weights, r"no weights: expected model\.safetensors"),
        (break_tokenizer, r"no tokenizer: save tokenizer\.json"),
        (break_config, r"no config\.json"),
        (break_json, r"config\.json cannot be read"),
        (break_type, r"'gpt2' is not supported\. Supported: albert, .*, bert, .*, roberta"),
        (break_nothing_named, r"'None' is not supported"),
    ],
)
def test_a_directory_that_cannot_be_used_says_why(damage, message, checkpoint, tmp_path):
    name = checkpoint(make("bert"))
    damage(tmp_path / "model")
    with pytest.raises(ModelError, match=message):
        open_source(name)


def test_damaged_weights_are_a_model_error(checkpoint, tmp_path):
    source = open_source(checkpoint(make("bert", labels=2)))
    path = tmp_path / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="weights cannot be loaded"):
        build(source)


def test_encoder_weights_that_are_missing_are_never_made_up(checkpoint, tmp_path):
    from safetensors.torch import load_file, save_file

    source = open_source(checkpoint(make("bert", labels=2)))
    path = tmp_path / "model" / "model.safetensors"
    tensors = load_file(path)
    del tensors["bert.encoder.layer.2.output.dense.weight"]
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"'bert\.encoder\.layer\.2\.output\.dense\.weight' \[32, 64\] is missing"):
        build(source)


def test_a_vocabulary_larger_than_the_embedding_is_refused(checkpoint):
    source = open_source(checkpoint(make("bert", vocab_size=20)))
    with pytest.raises(ModelError, match="tokenizer has 26 tokens, but the embedding has only 20 rows"):
        build(source)


@pytest.mark.parametrize("name", ["./nothing", "~/nothing/here", "a/b/c", "/nothing"])
def test_a_directory_that_is_not_there_is_said_to_be_one(name):
    with pytest.raises(ModelError, match="no such directory"):
        open_source(name)


def test_a_misspelt_built_in_model_is_suggested():
    with pytest.raises(ModelError, match="Did you mean 'demo-bert'"):
        open_source("demo-brt")


@pytest.mark.parametrize("name", ["some-body/that-is-not-cached", "bert-large-not-cached", "not a valid id!"])
def test_a_hub_that_does_not_answer_says_what_to_do(name, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="go online, or give a local directory"):
        open_source(name, revision="v1")


def test_code_that_comes_with_a_model_is_refused():
    with pytest.raises(ModelError, match="runs no code"):
        open_source("a/b", trust_remote_code=True)
