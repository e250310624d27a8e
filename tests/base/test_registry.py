from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint

import pytest

from bench.base import registry
from bench.base.errors import BenchError, UnknownNameError
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


def test_registering_a_name_twice_fails_and_keeps_the_first():
    names = empty()
    names.register("a")(1)
    with pytest.raises(BenchError, match="a method named 'a' is registered already: 1"):
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


def test_plug_ins_of_other_packages_are_loaded_and_a_broken_one_fails_loudly_each_time(monkeypatch):
    broken = EntryPoint(name="theirs", value="no_such_package:plugin", group="bench.none")
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [broken])
    names = empty()
    for _ in range(2):
        with pytest.raises(BenchError, match=r"plug-in 'theirs' \(no_such_package:plugin\) of group bench.none failed"):
            names.names()


def test_the_methods_are_those_of_the_package():
    names = "distill factorize halt integer layerdrop prune quantize replace shallow share shrink sparsify"
    assert METHODS.names() == names.split()
