"""The arguments that each choice of pruning has of its own: who may give them, how they are stored and shown."""

from __future__ import annotations

import re

import pytest
import torch
from made_pruning import made, pruning_of, sites_of, subject_of
from pydantic import Field

from bench.base.errors import SuiteError, UnknownNameError
from bench.library.catalog import describe, listing
from bench.methods.prune.penalties import PENALTIES
from bench.methods.prune.prune import Prune
from bench.methods.prune.saliencies import SALIENCIES, Elementwise
from bench.methods.prune.schedules import SCHEDULES
from bench.methods.prune.selectors import SELECTORS
from bench.methods.prune.units import UNITS
from bench.plan.recipes import load_recipe, methods_of


class Powered(Elementwise):
    """|w|^power: all that a package of one's own has to hold."""

    power: float = Field(1.0, description="negative keeps the smallest weights")

    def elements(self, sites, subject):
        return {piece.name: subject.change(piece).abs() ** self.power for site in sites for piece in site.pieces}


@pytest.fixture
def registered(monkeypatch):
    """Registers a saliency for one test."""
    SALIENCIES.names()
    monkeypatch.setattr(SALIENCIES, "_plugins", dict(SALIENCIES._plugins))
    return lambda name, plugin: SALIENCIES.register(name)(plugin)


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe of one stage and loads it."""

    def load(text, overrides=None):
        path = tmp_path / "mine.toml"
        stage = f'[[stages]]\nmethod = "prune"\nsparsity = 0.5\n{text}\n'
        path.write_text(f'title = "Mine"\nfamily = "pruning"\ncite = "here"\n{stage}', encoding="utf-8")
        return load_recipe(str(path), overrides)

    return load


def test_a_saliency_of_ones_own_has_its_argument_in_recipes_and_overrides(registered, recipe, make_lab):
    registered("powered", Powered)
    weights = made("bert")
    site = sites_of(weights, "weight")[0]
    magnitude = site.pieces[0].parameter.detach().abs().flatten()
    for given, power in (('{ name = "powered", power = -2 }', -2.0), ('"powered"', 1.0)):
        (method,) = methods_of(recipe(f"saliency = {given}"))
        found = method.saliency.scores([site], subject_of("bert", make_lab, model=weights))[site.name]
        torch.testing.assert_close(found, magnitude**power)
    changed = recipe('saliency = "powered"', {"saliency.power": -1, "saliency.pooling": "max"})
    assert changed.name == "mine[saliency.power=-1,saliency.pooling=max]"
    assert methods_of(changed)[0].saliency == Powered(power=-1.0, pooling="max")


def test_its_weights_go_by_its_scores(registered, make_lab):
    registered("powered", Powered)
    model = made("bert")
    smallest = pruning_of(made("bert"), make_lab(model), saliency="powered", saliency__power=-1.0)
    largest = pruning_of(made("bert"), make_lab(model), saliency="powered")
    for run in (smallest, largest):
        run.cut(0.5)
    assert not any((smallest.masks[name] & mask).any() for name, mask in largest.masks.items())


def test_its_argument_is_checked_at_its_place(registered, recipe):
    registered("powered", Powered)
    with pytest.raises(SuiteError, match=r"mine.toml: stage 1: saliency.power: expected a number, found 'two'"):
        recipe('saliency = { name = "powered", power = "two" }')
    with pytest.raises(SuiteError, match=r"stage 1: saliency.powr: .*'powered' named 'powr'. Did you mean 'power'\?"):
        recipe('saliency = { name = "powered", powr = 2.0 }')
    with pytest.raises(
        SuiteError, match=r"saliency.power: no argument of saliency 'magnitude' .* of saliency 'powered'"
    ):
        recipe('saliency = { name = "magnitude", power = 2.0 }')


def test_an_argument_that_must_be_given_is_asked_for(registered, recipe):
    class Strict(Powered):
        """Without a default."""

        power: float

    registered("strict", Strict)
    with pytest.raises(SuiteError, match=r"stage 1: saliency: missing\. Add power = …"):
        recipe('saliency = "strict"')
    stage = recipe('saliency = { name = "strict", power = 1.0 }').stages[0]
    assert stage.arguments["saliency"] == {"name": "strict", "pooling": "sum", "power": 1.0}


@pytest.mark.parametrize(
    ("overrides", "name", "given"),
    [
        ({"saliency": "random"}, "mine[saliency=random]", "random"),
        (
            {"saliency.start": 1.5, "saliency": "hard-concrete", "schedule": "gradual"},
            "mine[saliency.start=1.5,saliency=hard-concrete,schedule=gradual]",
            {"name": "hard-concrete", "start": 1.5},
        ),
        (
            {"1.saliency": {"name": "magnitude", "pooling": "max"}},
            "mine[1.saliency=magnitude,1.saliency.pooling=max]",
            {"name": "magnitude", "pooling": "max"},
        ),
    ],
)
def test_an_override_names_a_choice_or_one_of_its_arguments(recipe, overrides, name, given):
    changed = recipe('saliency = { name = "obd", probes = 2 }', overrides)
    assert changed.name == name
    assert methods_of(changed)[0].saliency.table(stated=True) == given


def test_an_override_of_an_argument_keeps_the_others_of_its_choice(recipe):
    (method,) = methods_of(recipe('saliency = { name = "obd", probes = 2 }', {"saliency.examples": 8}))
    assert method.saliency.table(stated=True) == {"name": "obd", "examples": 8, "probes": 2}
    (method,) = methods_of(recipe("", {"schedule.rounds": 3}))
    assert method.schedule.table(stated=True) == {"name": "rounds", "rounds": 3}


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"gate_start": 5.0}, "no argument named 'gate_start'"),
        ({"rewind": "start"}, "'rewind' is an argument of a choice: write schedule.rewind"),
        ({"penalty_weight": 1.0}, "'penalty_weight' is an argument of a choice: write saliency.penalty_weight"),
        ({"penalty.weight": 1.0}, "the recipe has no penalty. Name one of: group-lasso"),
        ({"sparsity.start": 1.0}, "'sparsity' has no arguments of its own"),
        ({"saliency": "magntude"}, "no saliency named 'magntude'. Did you mean 'magnitude'?"),
        ({"saliency": 3}, "expected the name of a saliency or a table"),
        ({"schedule": "gradual", "schedule.rewind": "start"}, "It is an argument of schedule 'rounds' and 'until'."),
    ],
)
def test_an_override_that_fits_no_choice_is_refused(recipe, overrides, says):
    with pytest.raises((SuiteError, UnknownNameError), match=re.escape(says)):
        recipe("", overrides)


def test_a_stage_holds_every_argument_as_it_was_understood_and_states_what_differs(recipe):
    text = 'unit = { name = "block", size = "8+16" }\nschedule = "gradual"'
    saliency = f'saliency = {{ name = "hard-concrete", start = 5, temperature = {2 / 3}, penalty_weight = 1 }}'
    loaded = recipe(f"{text}\n{saliency}")
    (stage,), (method,) = loaded.stages, methods_of(loaded)
    assert stage.arguments.keys() == Prune.model_fields.keys()
    assert stage.arguments["unit"] == {"name": "block", "size": [8, 16]}
    assert stage.arguments["saliency"].keys() == {"name", *type(method.saliency).model_fields}
    assert isinstance(stage.arguments["saliency"]["start"], float)
    assert method.stated() == {
        "sparsity": 0.5,
        "unit": {"name": "block", "size": [8, 16]},
        "saliency": {"name": "hard-concrete", "start": 5.0, "penalty_weight": 1.0},
        "schedule": "gradual",
    }


def test_two_choices_may_have_arguments_of_one_name():
    saliency, penalty = {"name": "hard-concrete", "start": 1.0}, {"name": "group-lasso", "weight": 2.0}
    method = Prune(sparsity=0.5, start="source", schedule="gradual", saliency=saliency, penalty=penalty)
    assert (method.start, method.saliency.start, method.penalty.weight) == ("source", 1.0, 2.0)


def test_what_is_shown_of_pruning_names_each_argument_below_its_choice():
    shown = describe("prune")["method"]
    assert (
        shown["arguments"]["saliency"]
        == "name or table of a saliency, default 'magnitude': pruning saliency: how the importance of a unit is scored"
    )
    assert not {"probes", "size", "rounds"} & set(shown["arguments"])
    assert set(shown["arguments of saliency 'obd'"]) == {"pooling", "examples", "probes"}
    assert describe("obd")["saliency of prune"]["arguments"] == shown["arguments of saliency 'obd'"]
    assert shown["arguments of unit 'block'"]["size"].endswith(
        "default (4, 4): rows and columns of a block; on a command line: 4+4"
    )
    listed = {(row["choice"], row["name"]): row["arguments"] for row in listing("choices")}
    assert listed["saliency", "obd"] == "pooling, examples, probes"
    assert listed["saliency", "random"] == "-"


@pytest.mark.parametrize("registry", [UNITS, SALIENCIES, SELECTORS, SCHEDULES, PENALTIES], ids=lambda each: each.kind)
def test_every_choice_has_its_arguments_described_and_none_called_name(registry):
    for _, plugin in registry.items():
        assert "name" not in plugin.model_fields
        assert all(field.description for field in plugin.model_fields.values())
