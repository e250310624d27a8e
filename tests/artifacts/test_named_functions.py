"""Functions in the store: only data are written, and nothing is imported unless its user named it."""

import json
import sys

import pytest

import bench
from bench.artifacts.artifact import load
from bench.artifacts.functions import FUNCTION, import_function, importable_name, named, save_function
from bench.base.errors import ArtifactError, ModelError
from bench.models.texts import TextFunction

SOURCE = "IMPORTED = []\nIMPORTED.append(1)\ndef count(texts):\n    return [len(text) for text in texts]\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module `made_counting` in a folder that Python looks into."""
    path = tmp_path / "code" / "made_counting.py"
    path.parent.mkdir()
    path.write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(path.parent))
    yield path
    sys.modules.pop("made_counting", None)


@pytest.fixture
def folder(module, tmp_path):
    save_function(import_function("made_counting:count"), tmp_path / "given", labels=("a", "b"), title="given")
    sys.modules.pop("made_counting")
    return tmp_path / "given"


def test_what_is_written_is_a_name_and_the_hash_of_the_source(folder):
    files = sorted(path.name for path in folder.iterdir())
    assert files == [FUNCTION, "recipe.json"]
    assert json.loads((folder / FUNCTION).read_text())["function"] == "made_counting:count"
    assert str(folder.parent) not in (folder / FUNCTION).read_text() + (folder / "recipe.json").read_text()


@pytest.mark.parametrize("user", [None, "made_counting:other", "os:system"])
def test_a_function_that_its_user_did_not_name_is_not_imported(folder, user):
    with named(user), pytest.raises(ArtifactError, match="bench runs no code because a file asks for it"):
        load(folder)
    with pytest.raises(ArtifactError, match="runs no code"):
        bench.load_artifact(folder)
    assert "made_counting" not in sys.modules


def test_a_function_that_its_user_named_answers(folder):
    with named("made_counting:count"):
        loaded = load(folder)
    assert isinstance(loaded.model, TextFunction)
    assert (loaded.model.labels, loaded.tokenizer) == (("a", "b"), None)
    assert loaded.model.ask(["a", "bcd"], ["0", "1"]) == [1, 3]


def test_a_source_that_changed_is_another_function(folder, module):
    module.write_text(SOURCE + "# changed\n", encoding="utf-8")
    with named("made_counting:count"), pytest.raises(ArtifactError, match="its source changed"):
        load(folder)


def test_an_altered_name_is_seen(folder):
    (folder / FUNCTION).write_text((folder / FUNCTION).read_text().replace("count", "system"), encoding="utf-8")
    with named("made_counting:system"), pytest.raises(ArtifactError, match="altered or damaged"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("made_nowhere:count", "module 'made_nowhere' cannot be imported"),
        ("made_counting:other", "'made_counting' has no 'other'"),
        ("made_counting:IMPORTED", "expected a function, found list"),
    ],
)
def test_a_name_that_is_no_function_is_refused(module, name, message):
    with pytest.raises(ModelError, match=message):
        import_function(name)


def test_only_a_function_that_other_processes_can_import_has_a_name():
    assert importable_name(json.dumps) == "json:dumps"
    with pytest.raises(ModelError, match="Write it into a module of its own"):
        importable_name(lambda texts: texts)
