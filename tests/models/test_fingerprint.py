"""What belongs to a checkpoint's fingerprint, what does not, and which files are refused."""

import hashlib
import json
import os
import shutil

import pytest
import torch
from families import make, same_outputs
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.adapter import ADAPTERS
from bench.models.tokenizer import write_tokenizer


@pytest.fixture
def folder(tmp_path, tokenizer):
    """A tiny BERT as a checkpoint directory: configuration, one safetensors file, tokenizer."""
    make("bert", labels=2, id2label={0: "a", 1: "b"}).save_pretrained(tmp_path / "model")
    write_tokenizer(tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def sharded(tmp_path, tokenizer):
    """The same weights in several files behind an index."""
    path = tmp_path / "sharded"
    make("bert", labels=2, id2label={0: "a", 1: "b"}).save_pretrained(path, max_shard_size="20KB")
    write_tokenizer(tokenizer, path)
    assert not (path / "model.safetensors").exists()
    return path


def fingerprint(folder):
    return open_source(str(folder)).fingerprint()


def as_first_published(folder):
    """SHA-256 over names, sizes and contents of what a plain directory holds, as records hold it."""
    digest = hashlib.sha256()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (folder / name).exists():
            content = (folder / name).read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def test_a_plain_directory_keeps_the_fingerprint_of_its_published_records(folder):
    assert fingerprint(folder) == as_first_published(folder)
    (folder / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    assert fingerprint(folder) == as_first_published(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    repeated = {name: settings[name] for name in ("pad_token", "unk_token", "cls_token")}
    (folder / "special_tokens_map.json").write_text(json.dumps(repeated), encoding="utf-8")
    assert fingerprint(folder) == as_first_published(folder)


@pytest.mark.parametrize("tokens", [{"unk_token": "the"}, {"extra": "[UNK]"}, {"unk_token": {"content": "[UNK]"}}])
def test_special_tokens_that_say_more_than_the_settings_are_part_of_it(tokens, folder):
    before = fingerprint(folder)
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens), encoding="utf-8")
    assert fingerprint(folder) != before


def files_of_tokenizers():
    """Every file that a tokenizer class of a supported architecture reads, by what transformers itself says."""
    import transformers

    names = {TOKENIZER_MAPPING_NAMES.get(architecture) for architecture in ADAPTERS.names()} - {None}
    classes = [getattr(transformers, name) for name in names]
    found = {file for each in classes for file in each.vocab_files_names.values()}
    return sorted(found | {"merges.txt", "added_tokens.json", "tokenizer.4.0.0.json", "source.spm", "bpe.codes"})


@pytest.mark.parametrize("name", files_of_tokenizers())
def test_every_file_that_a_tokenizer_reads_is_part_of_it(name, folder):
    found = [fingerprint(folder)]
    for content in ("one", "two"):
        (folder / name).write_text(content, encoding="utf-8")
        found.append(fingerprint(folder))
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", ".gitattributes", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"),
        *("trainer_state.json", "generation_config.json", "chat_template.jinja", "all_results.json"),
    ],
)
def test_a_file_that_changes_no_output_is_not(name, folder):
    before = fingerprint(folder)
    (folder / name).write_text("{}", encoding="utf-8")
    assert fingerprint(folder) == before


def test_shards_are_loaded_and_are_part_of_it_wherever_the_index_names_them(sharded):
    before = fingerprint(sharded)
    index = sharded / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    (sharded / "parts").mkdir()
    for name in set(data["weight_map"].values()):
        (sharded / name).rename(sharded / "parts" / name)
    data["weight_map"] = {tensor: f"parts/{name}" for tensor, name in data["weight_map"].items()}
    index.write_text(json.dumps(data), encoding="utf-8")
    moved = fingerprint(sharded)
    assert moved != before
    source = open_source(str(sharded))
    options = {"head": "sequence-classification", "labels": ("a", "b"), "seed": 0}
    assert same_outputs(source.build(tokenizer=source.tokenizer(list), **options), make("bert", labels=2))
    for path in (sharded / "parts").iterdir():
        save_file({name: torch.zeros_like(each) for name, each in load_file(path).items()}, path, {"format": "pt"})
    assert fingerprint(sharded) != moved


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytorch_model.bin", r"index\.json: names 'pytorch_model\.bin', expected only \*\.safetensors.*pickle"),
        ("../outside.safetensors", r"'\.\./outside\.safetensors', which is outside"),
        ("parts/../../outside.safetensors", "which is outside"),
        ("..\\outside.safetensors", "which is outside"),
        ("C:\\outside.safetensors", "which is outside"),
        ("gone.safetensors", r"'gone\.safetensors', which is not in the directory"),
    ],
)
def test_an_index_that_names_what_may_not_be_read_is_refused_at_the_start(name, message, sharded, tmp_path):
    (tmp_path / "outside.safetensors").write_bytes(b"")
    (sharded / "pytorch_model.bin").write_bytes(b"")
    index = sharded / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    data["weight_map"] = dict.fromkeys(data["weight_map"], name)
    index.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        open_source(str(sharded))


def test_an_absolute_path_in_an_index_is_refused(sharded, tmp_path):
    outside = tmp_path / "outside.safetensors"
    shutil.copy(next(sharded.glob("*.safetensors")), outside)
    index = sharded / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    data["weight_map"] = {tensor: str(outside) for tensor in data["weight_map"]}
    index.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ModelError, match="which is outside"):
        open_source(str(sharded))


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"weight_map": {}, "metadata": {}}', '{"weight_map": {"a": "b"}}', "{"]
)
def test_an_index_that_is_none_is_refused(content, sharded):
    (sharded / "model.safetensors.index.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json"):
        open_source(str(sharded))


@pytest.mark.parametrize("name", ["../other.safetensors", "pytorch_model.bin"])
def test_weights_that_the_configuration_names_are_held_to_the_same(name, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "transformers_weights": name}), encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"outside|expected only"):
        open_source(str(folder))


def test_a_tokenizer_file_outside_the_directory_is_refused(folder):
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["fast_tokenizer_files"] = ["../tokenizer.4.0.0.json"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ModelError, match=r"fast_tokenizer_files names '\.\./tokenizer\.4\.0\.0\.json'"):
        open_source(str(folder))


def test_an_adapter_beside_the_weights_is_refused(folder):
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="merge_and_unload"):
        open_source(str(folder))


@pytest.mark.parametrize("kind", ["folder", "sharded"])
def test_a_snapshot_of_links_into_a_cache_works_and_is_the_same_model(kind, request, tmp_path):
    plain = request.getfixturevalue(kind)
    blobs, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "main"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(plain.iterdir())):
        shutil.copy(path, blobs / str(number))
        os.symlink(f"../../blobs/{number}", snapshot / path.name)
    assert fingerprint(snapshot) == fingerprint(plain)
    source = open_source(str(snapshot))
    source.build(head="sequence-classification", labels=("a", "b"), tokenizer=source.tokenizer(list), seed=0)


def test_other_merges_are_another_model(tmp_path):
    from tokenizers import ByteLevelBPETokenizer

    folder = tmp_path / "m"
    make("roberta", vocab_size=300, type_vocab_size=1, pad_token_id=1).save_pretrained(folder)
    trainer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator(["the weapons of the nation"] * 9, vocab_size=300, special_tokens=special)
    trainer.save_model(str(folder))
    before, read = fingerprint(folder), AutoTokenizer.from_pretrained(folder)("weapons")["input_ids"]
    lines = (folder / "merges.txt").read_text().splitlines()
    (folder / "merges.txt").write_text("\n".join(lines[:3]) + "\n", encoding="utf-8")
    assert AutoTokenizer.from_pretrained(folder)("weapons")["input_ids"] != read
    assert fingerprint(folder) != before
