"""Artifacts that were damaged, forged or cannot be written: the file is named and nothing is left behind."""

from __future__ import annotations

import json

import pytest
import torch
from families import make
from torch import nn

from bench.artifacts import artifact
from bench.base.errors import ArtifactError, ModelError

NAMES = ["config.json", "layers.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.mark.parametrize("name", NAMES)
def test_one_altered_byte_is_found_and_the_file_named(name, tmp_path, tokenizer):
    artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer)
    path = tmp_path / "a" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for use in (artifact.load, artifact.verify):
        with pytest.raises(ArtifactError, match=f"{name}: altered or damaged"):
            use(tmp_path / "a")


@pytest.mark.parametrize("name", [*NAMES, "recipe.json"])
def test_a_missing_file_is_named(name, tmp_path, tokenizer):
    artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer)
    (tmp_path / "a" / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        artifact.load(tmp_path / "a")


def test_a_file_that_was_not_saved_is_refused(tmp_path, tokenizer):
    artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer)
    (tmp_path / "a" / "added_tokens.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"added_tokens\.json: not part of the artifact"):
        artifact.load(tmp_path / "a")


def forge(directory, name, change):
    """Change a JSON file of an artifact and its hash in recipe.json, as a newer or hostile program might."""
    data = json.loads((directory / name).read_text())
    change(data)
    (directory / name).write_text(json.dumps(data))
    recipe = json.loads((directory / "recipe.json").read_text())
    recipe["files"][name] = artifact._sha256(directory / name)
    (directory / "recipe.json").write_text(json.dumps(recipe))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("layers.json", lambda d: d.update(schema_version=3), "schema version 3, expected"),
        ("layers.json", lambda d: d.pop("structure"), "not a valid structure"),
        ("layers.json", lambda d: d["structure"].update(architecture="BertModel"), "found architecture BertModel"),
        ("layers.json", lambda d: d["structure"].update(head="chat"), "no head named 'chat'"),
        ("layers.json", lambda d: d["structure"]["replaced"].update(x={"kind": "y", "arguments": {}}), "layer kind"),
        ("layers.json", lambda d: d["structure"]["shared"].update({"bert.x": "bert.pooler"}), "no module named"),
        ("layers.json", lambda d: d["structure"]["tied"].update(a="b"), "the model lacks one of them"),
        ("config.json", lambda d: d.update(num_hidden_layers=5), "is missing"),
        ("config.json", lambda d: d.update(num_hidden_layers=3), "not expected"),
        ("config.json", lambda d: d.update(vocab_size=41), r"the model expects torch\.float32 \[41, 32\]"),
        ("config.json", lambda d: d.update(model_type="nothing"), "cannot be rebuilt"),
        ("config.json", lambda d: d.pop("model_type"), "cannot be rebuilt"),
    ],
)
def test_files_that_do_not_fit_each_other_are_artifact_errors(name, change, message, tmp_path, tokenizer):
    artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer)
    forge(tmp_path / "a", name, change)
    with pytest.raises(ArtifactError, match=message):
        artifact.load(tmp_path / "a")


def test_an_existing_directory_is_never_overwritten(tmp_path, tokenizer):
    (tmp_path / "a").mkdir()
    with pytest.raises(ArtifactError, match="never overwritten"):
        artifact.save(make("bert"), tmp_path / "a", tokenizer=tokenizer)


class Odd(nn.Linear):
    pass


def test_a_module_that_is_not_data_is_refused_and_nothing_is_left_behind(tmp_path, tokenizer):
    model = make("bert")
    model.bert.pooler.dense = Odd(32, 32)
    with pytest.raises(ArtifactError, match=r"'bert\.pooler\.dense' \(Odd\) is neither a standard module"):
        artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_the_configuration_does_not_have_are_refused(tmp_path, tokenizer):
    model = make("bert")
    model.bert.register_buffer("extra", torch.zeros(3))
    with pytest.raises(ArtifactError, match=r"'bert\.extra' is \(3,\), its configuration makes none"):
        artifact.save(model, tmp_path / "a", tokenizer=tokenizer)


def test_a_norm_with_settings_of_its_own_is_saved_with_them(tmp_path, tokenizer):
    model = make("bert")
    model.bert.embeddings.LayerNorm.eps = 0.5
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert artifact.load(tmp_path / "a").model.bert.embeddings.LayerNorm.eps == 0.5


def test_a_model_without_a_known_head_is_refused(tmp_path, tokenizer):
    with pytest.raises(ModelError, match="no known task head"):
        artifact.save(make("bert").bert, tmp_path / "a", tokenizer=tokenizer)
