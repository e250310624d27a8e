"""Only a head may be new: what else of a checkpoint is missing, of another shape or left over is refused by name."""

from __future__ import annotations

import json

import pytest
import torch
from architectures import make_model
from families import ENCODERS, EXTRA, SIZES, make, prefix, same_outputs, same_state, state
from safetensors.torch import load_file, save_file

from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.tokenizer import write_tokenizer

CLASSES, SPANS, MASKED = "sequence-classification", "question-answering", "masked-language-modelling"
SAME, OTHER, REGRESSION = ("a", "b"), ("a", "b", "c"), None


@pytest.fixture
def folder(tmp_path, tokenizer):
    """A function that saves a model as a checkpoint and gives its folder; its outputs are called a, b, c, ..."""

    def write(model, **options):
        model.config.id2label = dict(enumerate("abcdefgh"[: model.config.num_labels]))
        model.save_pretrained(tmp_path / "m", **options)
        write_tokenizer(tokenizer, tmp_path / "m")
        return tmp_path / "m"

    return write


def build(path, *, head=CLASSES, labels=SAME, seed=0):
    source = open_source(str(path))
    return source.build(head=head, labels=labels, tokenizer=source.tokenizer(list), seed=seed)


def change(path, **settings):
    """Change keys of `config.json`."""
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **settings}))


def edit(path, change):
    """Change the tensors of the weights file, a dictionary by name, in place."""
    tensors = load_file(path / "model.safetensors")
    change(tensors)
    save_file(
        {name: t.contiguous().clone() for name, t in tensors.items()}, path / "model.safetensors", {"format": "pt"}
    )


def body_of(model):
    return getattr(model, model.base_model_prefix)


def ffn_key(family):
    return "hidden_dim" if family == "distilbert" else "intermediate_size"


# As many outputs as in the file, another number, and one: the number of outputs must not hide the encoder.
@pytest.mark.parametrize("labels", [SAME, OTHER, REGRESSION])
@pytest.mark.parametrize("family", ENCODERS)
def test_another_width_in_the_configuration_is_refused_with_both_shapes(family, labels, folder):
    path = folder(make(family, labels=2))
    change(path, **{ffn_key(family): 48})
    with pytest.raises(ModelError) as caught:
        build(path, labels=labels)
    text = str(caught.value)
    assert f"'{prefix(family)}." in text
    assert "classifier" not in text
    rows = 2 if family == "modernbert" else 1  # the gates are in the same matrix
    assert f"is [{64 * rows}, 32] in the file and [{48 * rows}, 32] by config.json" in text
    assert "Only the head" in text


@pytest.mark.parametrize("labels", [SAME, OTHER, REGRESSION])
@pytest.mark.parametrize("family", ENCODERS)
def test_one_narrower_layer_is_refused(family, labels, folder):
    model = make(family, labels=2)
    linear = next(iter(adapter_for(model).linears(model, ["attention_output"]).items()))[0]
    path = folder(model)

    def narrow(tensors):
        tensors[f"{linear}.weight"] = torch.ones(24, 32)
        if f"{linear}.bias" in tensors:
            tensors[f"{linear}.bias"] = torch.ones(24)

    edit(path, narrow)
    with pytest.raises(ModelError, match=rf"'{linear}\.weight' is \[24, 32\] in the file and \[32, 32\] by config"):
        build(path, labels=labels)


def test_heads_that_an_older_transformers_pruned_are_said_to_be_that(folder):
    path = folder(make("bert", labels=2))
    change(path, pruned_heads={"0": [1]})

    def prune(tensors):
        for name in ("query", "key", "value"):
            whole = tensors[f"bert.encoder.layer.0.attention.self.{name}.weight"]
            tensors[f"bert.encoder.layer.0.attention.self.{name}.weight"] = whole[:24]

    edit(path, prune)
    with pytest.raises(ModelError, match="pruned_heads, which this version of transformers ignores"):
        build(path, labels=OTHER)


@pytest.mark.parametrize("labels", [SAME, OTHER])
@pytest.mark.parametrize(("said", "message"), [(3, "has no such tensor"), (5, "is missing from the file")])
@pytest.mark.parametrize("family", [family for family in ENCODERS if family not in ("albert", "modernbert")])
def test_more_or_fewer_layers_than_the_configuration_says_are_refused(family, said, message, labels, folder):
    path = folder(make(family, labels=2))
    change(path, **{"n_layers" if family == "distilbert" else "num_hidden_layers": said})
    with pytest.raises(ModelError, match=rf"layer\.{min(said, 4)}\..* \[32\].* {message}"):
        build(path, labels=labels)


def test_a_configuration_that_contradicts_itself_is_refused_in_its_own_words(folder):
    path = folder(make("modernbert", labels=2))
    change(path, num_hidden_layers=3)
    with pytest.raises(ModelError, match=r"config\.json contradicts itself.*num_hidden_layers.*layer_types"):
        build(path)


def test_so_are_more_groups_of_an_albert(folder):
    path = folder(make("albert", labels=2, num_hidden_groups=2))
    change(path, num_hidden_groups=1)
    with pytest.raises(ModelError, match=r"albert_layer_groups\.1.* has no such tensor"):
        build(path, labels=OTHER)


@pytest.mark.parametrize("family", ENCODERS)
def test_a_tensor_that_the_model_has_no_place_for_is_refused_with_its_shape(family, folder):
    path = folder(make(family, labels=2))

    def scale(tensors):
        inside = (name for name in tensors if name.startswith(f"{prefix(family)}."))
        name = sorted(name for name in inside if name.endswith(".weight"))[-1]
        tensors[f"{name}_scale"] = torch.ones(7, 1)

    edit(path, scale)
    with pytest.raises(ModelError, match=rf"'{prefix(family)}\.\S+_scale' \[7, 1\] is in the file"):
        build(path)


@pytest.mark.parametrize(
    "name", ["teacher.bert.pooler.dense.weight", "lora.classifier.weight", "score.weight", "classifier.weight_scale"]
)
def test_so_is_one_that_is_part_of_no_head_of_the_architecture(name, folder):
    path = folder(make("bert", labels=2))
    edit(path, lambda tensors: tensors.update({name: torch.ones(2, 32)}))
    with pytest.raises(ModelError, match="has no such tensor"):
        build(path)


@pytest.mark.parametrize(("stored", "wanted"), [(SPANS, CLASSES), (CLASSES, SPANS), (MASKED, CLASSES), (MASKED, SPANS)])
@pytest.mark.parametrize("family", ENCODERS)
def test_the_head_of_another_task_is_left_and_a_new_one_depends_on_the_seed(family, stored, wanted, folder):
    model = make(family, stored, labels=2)
    path = folder(model)
    labels = SAME if wanted == CLASSES else None
    one, two, other = (build(path, head=wanted, labels=labels, seed=seed) for seed in (7, 7, 8))
    assert same_state(one, state(two))
    assert not same_state(one, state(other))
    theirs = body_of(model).state_dict()
    mine = {name: tensor for name, tensor in body_of(one).state_dict().items() if "pooler" not in name}
    assert mine
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


@pytest.mark.parametrize("family", ENCODERS)
def test_what_pretraining_leaves_in_a_file_is_left_out(family, folder):
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForPreTraining

    config = AutoConfig.for_model(family, **{**SIZES, **EXTRA[family]})
    known = type(config) in AutoModelForPreTraining._model_mapping
    model = (AutoModelForPreTraining if known else AutoModelForMaskedLM).from_config(config)
    built = build(folder(model))
    theirs = body_of(model).state_dict()
    assert all(torch.equal(t, theirs[n]) for n, t in body_of(built).state_dict().items() if "pooler" not in n)


@pytest.mark.parametrize("family", ENCODERS)
def test_a_base_model_of_unprefixed_names_and_old_buffers_is_whole(family, folder):
    model = make(family, labels=2)
    path = folder(body_of(model))
    edit(path, lambda tensors: tensors.update({"embeddings.position_ids": torch.arange(40)[None]}))
    built = build(path)
    assert same_state(body_of(built), state(body_of(model)))


def test_names_of_the_first_bert_files_are_read(folder):
    model = make("bert", labels=2)
    path = folder(model)

    def rename(tensors):
        for name in [name for name in tensors if "LayerNorm" in name]:
            tensors[name.replace(".weight", ".gamma").replace(".bias", ".beta")] = tensors.pop(name)

    edit(path, rename)
    assert same_outputs(build(path), model)


def test_shards_are_one_checkpoint(folder):
    model = make("bert", labels=2)
    path = folder(model, max_shard_size="20KB")
    assert len(list(path.glob("model-*.safetensors"))) > 2
    assert same_outputs(build(path), model)
    index = json.loads((path / "model.safetensors.index.json").read_text())
    shard = path / index["weight_map"]["bert.encoder.layer.2.output.dense.weight"]
    tensors = load_file(shard)
    tensors["bert.encoder.layer.2.output.dense.weight"] = torch.ones(32, 48)
    save_file(tensors, shard, {"format": "pt"})
    with pytest.raises(ModelError, match=r"layer\.2\.output\.dense\.weight' is \[32, 48\] in the file and \[32, 64\]"):
        build(path, labels=OTHER)


@pytest.mark.parametrize(
    ("family", "lost"),
    [
        ("bert", "classifier.bias"),
        ("bert", "bert.pooler.dense.weight"),
        ("roberta", "classifier.dense.weight"),
        ("distilbert", "pre_classifier.bias"),
        ("albert", "albert.pooler.weight"),
        ("electra", "classifier.out_proj.bias"),
    ],
)
def test_half_a_head_is_refused(family, lost, folder):
    path = folder(make(family, labels=2))
    edit(path, lambda tensors: tensors.pop(lost))
    with pytest.raises(ModelError, match=rf"'{lost}' \S.* is missing from the file"):
        build(path)


def test_half_a_language_modelling_head_is_refused(folder):
    path = folder(make("bert", MASKED))
    edit(path, lambda tensors: tensors.pop("cls.predictions.transform.dense.weight"))
    with pytest.raises(ModelError, match=r"transform\.dense\.weight' \[32, 32\] is missing"):
        build(path, head=MASKED, labels=None)


@pytest.mark.parametrize("family", ENCODERS)
def test_another_number_of_outputs_keeps_all_but_the_last_layer(family, folder):
    model = make(family, labels=2)
    built = build(folder(model), labels=OTHER)
    theirs, mine = model.state_dict(), built.state_dict()
    changed = {name for name in mine if not torch.equal(mine[name], theirs[name])}
    assert {mine[name].shape[0] for name in changed} == {3}
    assert len(changed) == 2


@pytest.mark.parametrize("kind", ["ForTokenClassification", "ForMultipleChoice"])
def test_a_head_of_the_same_name_for_another_task_is_not_used(kind, folder):
    import transformers

    labels = SAME if kind == "ForTokenClassification" else None  # one output and two
    model = getattr(transformers, f"Bert{kind}")(make("bert", labels=2).config)
    built = build(folder(model), labels=labels)
    assert not torch.equal(built.classifier.weight, model.classifier.weight)
    assert torch.equal(built.bert.encoder.layer[3].output.dense.weight, model.bert.encoder.layer[3].output.dense.weight)


@pytest.mark.parametrize("damage", ["lost", "added", "narrowed"])
@pytest.mark.parametrize("name", ["marian", "encoder-decoder", "bench-lstm-seq2seq", "bench-lstm-lm", "bench-bilstm"])
def test_the_other_architectures_are_held_to_it_too(name, damage, folder):
    from architectures import ARCHITECTURES

    model = make_model(name)
    head = ARCHITECTURES[name][0]
    labels = ("a", "b", "c") if head == CLASSES else None
    inside = next(iter(adapter_for(model).linears(model)))
    path = folder(model)

    def spoil(tensors):
        whole = tensors.pop(f"{inside}.weight")
        if damage == "added":
            tensors |= {f"{inside}.weight": whole, f"{inside}.weight_scale": torch.ones(1)}
        elif damage == "narrowed":
            tensors[f"{inside}.weight"] = whole[:-1]

    edit(path, spoil)
    says = {"lost": "is missing from the file", "added": "has no such tensor", "narrowed": "by config.json"}[damage]
    with pytest.raises(ModelError, match=says):
        build(path, head=head, labels=labels)


def test_a_translator_made_of_an_encoder_needs_the_whole_encoder(folder):
    path = folder(make("bert", MASKED))
    edit(path, lambda tensors: tensors.pop("bert.encoder.layer.1.output.dense.weight"))
    with pytest.raises(ModelError, match=r"layer\.1\.output\.dense\.weight' \[32, 64\] is missing"):
        build(path, head="translation", labels=None)


def test_a_stored_translator_that_lacks_cross_attention_is_refused(folder):
    path = folder(make_model("encoder-decoder"))
    name = "decoder.bert.encoder.layer.0.crossattention.self.query.weight"
    edit(path, lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match=r"crossattention\.self\.query\.weight' \[32, 32\] is missing"):
        build(path, head="translation", labels=None)
