"""The cache: complete entries are found, damaged ones are made again, and entries can be listed and cleared."""

import pytest

from bench.artifacts.artifact import save
from bench.artifacts.manifest import Manifest
from bench.artifacts.store import Store, default_root


@pytest.fixture
def store(tmp_path, tiny_bert, tokenizer):
    store = Store(tmp_path)
    save(tiny_bert(), store.path("references", "aaaa1111"), tokenizer=tokenizer, made=Manifest(title="reference of x"))
    save(tiny_bert(), store.path("artifacts", "bbbb2222"), tokenizer=tokenizer, made=Manifest(title="svd of x"))
    return store


def test_an_entry_is_there_until_a_byte_of_it_changes(store):
    assert store.has("references", "aaaa1111")
    assert not store.has("references", "bbbb2222")
    weights = store.path("references", "aaaa1111") / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert not store.has("references", "aaaa1111")
    assert not store.path("references", "aaaa1111").exists()


def test_entries_say_what_they_are_and_what_they_cost(store):
    entries = {entry.key: entry for entry in store.entries()}
    assert entries["aaaa1111"].title == "reference of x"
    assert entries["bbbb2222"].kind == "artifacts"
    files = store.path("artifacts", "bbbb2222").iterdir()
    assert entries["bbbb2222"].bytes == sum(file.stat().st_size for file in files)


def test_clearing_removes_what_was_named_or_everything(store):
    assert [entry.key for entry in store.clear(("bbbb",))] == ["bbbb2222"]
    assert store.has("references", "aaaa1111")
    assert [entry.key for entry in store.clear()] == ["aaaa1111"]
    assert store.entries() == []


def test_the_environment_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "here"))
    assert default_root() == tmp_path / "here"
    monkeypatch.delenv("BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "bench"
