from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from bench.base import registry
from bench.base.errors import PluginError, UnknownNameError
from bench.base.registry import Registry
from bench.methods.base.method import METHODS


def empty(modules=()):
    return Registry("method", modules=modules, group="bench.none")


def test_what_is_registered_is_found_and_listed_in_order():
    names = empty()
    names.register("b")(2)
    assert names.register("a")(1) == 1
    assert names.get("a") == 1
    assert names.names() == ["a", "b"]
    assert list(names.items()) == [("a", 1), ("b", 2)]


def test_a_module_that_registers_a_name_twice_fails_and_the_first_stays():
    names = empty()
    names.register("a")(1)
    with pytest.raises(PluginError, match=f"method 'a' is registered twice: by {__name__} and by {__name__}"):
        names.register("a")(2)
    assert names.get("a") == 1


def test_an_unknown_name_suggests_the_nearest_and_says_where():
    names = empty()
    names.register("magnitude-pruning")(1)
    with pytest.raises(UnknownNameError) as caught:
        names.get("magnitude-prunning", where="suites/x.toml: recipes[1].name")
    assert str(caught.value) == (
        "suites/x.toml: recipes[1].name: no method named 'magnitude-prunning'. Did you mean 'magnitude-pruning'?"
    )


def test_an_unknown_name_far_from_all_lists_them():
    names = empty()
    names.register("prune")(1)
    names.register("share")(2)
    with pytest.raises(UnknownNameError, match=r"no method named 'xyzzy'\. Known: prune, share\."):
        names.get("xyzzy")


def test_built_in_modules_are_imported_on_the_first_look_up_only(monkeypatch):
    names = empty(modules=("bench_test_plugin",))
    loads = []

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "bench_test_plugin":
                from importlib.machinery import ModuleSpec

                return ModuleSpec(name, Finder)
            return None

        @staticmethod
        def create_module(spec):
            return types.ModuleType(spec.name)

        @staticmethod
        def exec_module(module):
            loads.append(module.__name__)
            names.register("late")(3)

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "bench_test_plugin", raising=False)
    assert loads == []
    assert names.names() == ["late"]
    assert names.get("late") == 3
    assert loads == ["bench_test_plugin"]


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A function that puts modules on the path and their entry points among the installed ones, by name and source."""
    monkeypatch.syspath_prepend(tmp_path)
    points = []

    def install(name, source, *, module=None):
        module = module or f"plugin_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        points.append(EntryPoint(name=name, value=module, group="bench.none"))
        monkeypatch.setattr(registry, "_points", lambda: EntryPoints(points))
        monkeypatch.setattr(registry, "_BROKEN", {})
        return module

    yield install
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


@pytest.fixture
def names(monkeypatch):
    """A registry that plug-ins reach as `shelf.names`."""
    made = empty()
    made.register("ours")("ours")
    monkeypatch.setitem(sys.modules, "shelf", types.SimpleNamespace(names=made))
    return made


def test_plug_ins_of_other_packages_are_loaded_beside_those_of_bench(installed, names):
    installed("theirs", "from shelf import names\nnames.register('theirs')(1)")
    assert names.names() == ["ours", "theirs"]
    assert names.get("theirs") == 1
    assert registry.broken_plugins() == []


def test_a_broken_plug_in_is_skipped_and_named_and_fatal_only_if_it_is_used(installed, names):
    installed("sound", "from shelf import names\nnames.register('sound')(1)")
    installed("theirs", "import no_such_package")
    assert names.names() == ["ours", "sound"]
    assert names.get("sound") == 1
    cause = (
        "plug-in 'theirs' of package plugin_theirs (bench.none: plugin_theirs) failed: "
        "ModuleNotFoundError: No module named 'no_such_package'"
    )
    assert [str(each) for each in registry.broken_plugins()] == [cause]
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            names.get("theirs", where="x.toml: kind")
        assert str(caught.value) == f"x.toml: kind: {cause}"
    with pytest.raises(UnknownNameError) as unknown:
        names.get("their-other")  # which the broken module might have held
    assert str(unknown.value).endswith(f"The {cause}.")


def test_what_a_plug_in_registered_before_it_failed_is_dropped(installed, names):
    installed("theirs", "from shelf import names\nnames.register('half')(1)\nraise RuntimeError('no')")
    assert names.names() == ["ours"]


def test_a_plug_in_that_registers_nothing_is_broken(installed, names):
    installed("theirs", "")
    assert names.names() == ["ours"]
    assert len(registry.broken_plugins()) == 1
    with pytest.raises(PluginError, match="it registers no method"):
        names.get("theirs")


def test_a_name_that_repeats_a_built_in_is_an_error_that_names_both_modules_once_it_is_used(installed, names):
    installed("theirs", "from shelf import names\nnames.register('ours')(1)")
    assert names.names() == ["ours"]
    assert len(registry.broken_plugins()) == 1
    with pytest.raises(PluginError, match=f"method 'ours' is registered twice: by {__name__} and by plugin_theirs"):
        names.get("ours")


def test_a_name_of_two_packages_is_an_error_that_names_both_modules_once_it_is_used(installed, names):
    for package in ("one", "two"):
        installed(package, "from shelf import names\nnames.register('same')(1)")
    assert names.names() == ["ours", "same"]
    with pytest.raises(PluginError, match="method 'same' is registered twice: by plugin_one and by plugin_two"):
        names.get("same")
    assert names.get("ours") == "ours"


def test_the_methods_are_those_of_the_package():
    names = (
        "closed-book distill drop-tokens exit-at exits export factorize halt integer layerdrop nearest-question prune "
        "quantize replace shallow share shrink sparsify"
    )
    assert METHODS.names() == names.split()
