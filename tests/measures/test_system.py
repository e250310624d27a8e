"""The bytes of a whole answering program: every part is on disk and counted once."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pytest

import bench
from bench.artifacts.artifact import save
from bench.measures.storage.system import LIBRARIES, closure, system_size
from bench.models.answering.retriever_reader import look_up

PASSAGES = [f"the {film} was {word}" for film in ("film", "plot", "story", "actor", "it") for word in
            ("good", "bad", "awful", "great")]  # fmt: skip


@pytest.fixture
def stored(tokenizer, tiny_bert, tmp_path):
    model = look_up(tiny_bert(head="question-answering"), PASSAGES, tokenizer, row_length=16)
    save(model, tmp_path / "artifact", tokenizer=tokenizer)
    return model, tmp_path / "artifact"


def test_the_parts_of_a_program_are_its_files_and_those_of_its_libraries(stored):
    model, directory = stored
    size = system_size(model, directory)
    assert size.parameters == 4 * sum(each.numel() for each in model.parameters())
    assert size.vectors == 20 * 32 * 4
    assert size.corpus == sum(map(len, PASSAGES)) + 20 * 8 + model.tokens.numel() * 4 + 20 * 4
    on_disk = sum(path.stat().st_size for path in directory.iterdir())
    assert size.parameters + size.vectors + size.corpus + size.structure + size.tokenizer == on_disk
    code = [path for path in Path(bench.__file__).parent.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert size.code == sum(path.stat().st_size for path in code)
    assert size.total == on_disk + size.code + sum(size.libraries.values())


def test_a_library_is_the_files_that_were_installed_without_compiled_caches(stored):
    found = distribution("safetensors")
    files = [Path(found.locate_file(file)) for file in found.files if file.suffix != ".pyc"]
    by_hand = sum(path.stat().st_size for path in files if path.is_file())
    assert system_size(*stored).libraries["safetensors"] == by_hand


def test_what_libraries_require_is_counted_and_extras_are_not():
    names = {found.name.lower().replace("_", "-") for found in closure(LIBRARIES)}
    assert {"torch", "transformers", "tokenizers", "numpy", "huggingface-hub", "sympy"} <= names
    assert not {"pytest", "ruff", "codecarbon", "scikit-learn"} & names
    assert [found.name for found in closure(["typing-extensions"])] == ["typing_extensions"]
    assert closure(["no-such-library"]) == []
