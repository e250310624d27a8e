from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from bench.base import registry
from bench.base.errors import PluginError, UnknownNameError
from bench.base.shelf import Shelf


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A function that gives a shelf over one file of bench and the folders of other packages, by file names."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_BROKEN", {})

    def make(**packages):
        (tmp_path / "bench" / "things").mkdir(parents=True)
        (tmp_path / "bench" / "things" / "ours.toml").touch()
        for package, files in packages.items():
            for file in files:
                path = tmp_path / package / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        points = EntryPoints(EntryPoint(name=name, value=f"{name}.things", group="bench.things") for name in packages)
        monkeypatch.setattr(registry, "_points", lambda: points)
        return Shelf("thing", folder=tmp_path / "bench" / "things", group="bench.things")

    return make


def test_files_of_other_packages_stand_beside_those_of_bench(shelf, tmp_path):
    things = shelf(shelf_one=["__init__.py", "things/theirs.toml", "things/family/deep.toml"])
    assert things.names() == ["deep", "ours", "theirs"]
    assert things.path("deep") == tmp_path / "shelf_one" / "things" / "family" / "deep.toml"
    assert things.shown(things.path("ours")) == "things/ours.toml"
    assert things.shown(things.path("theirs")) == str(tmp_path / "shelf_one" / "things" / "theirs.toml")


def test_a_folder_that_is_not_there_is_named_and_fatal_only_if_it_is_used(shelf):
    things = shelf(shelf_two=["__init__.py"], shelf_three=["things/theirs.toml"])
    assert things.names() == ["ours", "theirs"]
    (broken,) = registry.broken_plugins()
    assert "there is no module 'shelf_two.things'" in str(broken)
    with pytest.raises(PluginError, match="shelf_two"):
        things.path("shelf_two")
    with pytest.raises(UnknownNameError, match=r"no thing named 'our'. Did you mean 'ours'\? The plug-in 'shelf_two'"):
        things.path("our")


def test_a_name_in_two_folders_is_an_error_that_names_both_files_once_it_is_used(shelf, tmp_path):
    things = shelf(shelf_four=["things/ours.toml", "things/theirs.toml"])
    assert things.names() == ["ours", "theirs"]
    with pytest.raises(PluginError) as caught:
        things.path("ours", where="x.toml: recipes[0]")
    theirs = tmp_path / "shelf_four" / "things" / "ours.toml"
    first = tmp_path / "bench" / "things" / "ours.toml"
    assert str(caught.value) == f"x.toml: recipes[0]: thing 'ours' is there twice: {first} and {theirs}"
