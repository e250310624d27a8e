"""The arguments that each choice of pruning has of its own: who may give them, how they are stored and shown."""

from __future__ import annotations

import re

import pytest
import torch
from made_pruning import made, pruning_of, sites_of, subject_of
from pydantic import Field, ValidationError

from bench.base.errors import MethodError, SuiteError, UnknownNameError
from bench.library.catalog import describe
from bench.methods.prune.penalty import PENALTIES
from bench.methods.prune.prune import Prune
from bench.methods.prune.saliency import SALIENCIES, Elementwise
from bench.methods.prune.schedule import SCHEDULES
from bench.methods.prune.selector import SELECTORS
from bench.methods.prune.unit import UNITS
from bench.spec.recipe import load_recipe


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
    for given, power in (("power = -2", -2.0), ("", 1.0)):
        (method,) = recipe(f'saliency = "powered"\n{given}').methods()
        saliency = method.chosen(SALIENCIES, "powered")
        found = saliency.scores([site], subject_of("bert", make_lab, model=weights))[site.name]
        torch.testing.assert_close(found, magnitude**power)
    changed = recipe('saliency = "powered"', {"power": -1, "pooling": "max"})
    assert changed.name == "mine[power=-1,pooling=max]"
    assert changed.methods()[0].chosen(SALIENCIES, "powered") == Powered(power=-1.0, pooling="max")


def test_its_weights_go_by_its_scores(registered, make_lab):
    registered("powered", Powered)
    model = made("bert")
    smallest = pruning_of(made("bert"), make_lab(model), saliency="powered", power=-1.0)
    largest = pruning_of(made("bert"), make_lab(model), saliency="powered")
    for run in (smallest, largest):
        run.cut(0.5)
    assert not any((smallest.masks[name] & mask).any() for name, mask in largest.masks.items())


def test_its_argument_is_checked_where_it_is_read(registered, recipe):
    registered("powered", Powered)
    with pytest.raises(SuiteError, match=r"mine.toml: stages\[0\]: power: expected a number, found 'two'"):
        recipe('saliency = "powered"\npower = "two"')
    with pytest.raises(SuiteError, match="power belongs to saliency 'powered', found 'magnitude'"):
        recipe("power = 2.0")
    with pytest.raises(UnknownNameError, match=r"no argument named 'powr'\. Did you mean 'power'\?"):
        recipe('saliency = "powered"', {"powr": 2.0})


def test_an_argument_that_must_be_given_is_asked_for(registered, recipe):
    class Strict(Powered):
        """Without a default."""

        power: float

    registered("strict", Strict)
    with pytest.raises(SuiteError, match=r"stages\[0\]: power: missing\. Add power = …"):
        recipe('saliency = "strict"')
    assert recipe('saliency = "strict"\npower = 1.0').stages[0].arguments["power"] == 1.0


def test_a_choice_may_not_take_a_name_of_the_methods_own(registered):
    class Clash(Powered):
        """With an argument that pruning has."""

        scope: str = "global"

    registered("clash", Clash)
    with pytest.raises(MethodError, match=r"saliency 'clash': the method has an argument 'scope' too\."):
        Prune(sparsity=0.5, saliency="clash")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"gate_start": 5.0}, "gate_start belongs to saliency 'hard-concrete', found 'magnitude'"),
        ({"gate_start": 2.197}, "gate_start belongs to saliency 'hard-concrete', found 'magnitude'"),
        ({"block": "4+4"}, "block belongs to unit 'block' or 'hybrid', found 'weight'"),
        ({"rewind": "start", "schedule": "gradual"}, "rewind belongs to schedule 'rounds' or 'until', found 'gradual'"),
        ({"probes": 2, "saliency": "fisher"}, "probes belongs to saliency 'obd', found 'fisher'"),
        ({"rounds": 3, "schedule": "until"}, "rounds belongs to schedule 'rounds', found 'until'"),
        (
            {"penalty_weight": 0.1},
            "penalty_weight belongs to saliency 'hard-concrete' or 'soft-movement' or penalty 'group-lasso', "
            "found 'magnitude' and no penalty",
        ),
        ({"gate_stat": 5.0}, "no key named 'gate_stat'. Did you mean 'gate_start'?"),
    ],
)
def test_an_argument_of_a_choice_that_was_not_made_is_refused(arguments, says):
    with pytest.raises(ValidationError, match=re.escape(says)):
        Prune(sparsity=0.5, **arguments)


def test_stages_hold_what_is_not_at_its_default_as_it_was_understood(recipe):
    text = 'unit = "block"\nblock = "8+16"\nsaliency = "hard-concrete"\nschedule = "gradual"\ngate_start = 5'
    (stage,) = recipe(f"{text}\ngate_temperature = {2 / 3}\npenalty_weight = 1").stages
    always = {"sparsity", "scope", "rounds", "budget", "learning_rate", "alpha", "temperature"}
    assert {name: value for name, value in stage.arguments.items() if name not in always} == {
        "unit": "block",
        "block": (8, 16),
        "saliency": "hard-concrete",
        "schedule": "gradual",
        "gate_start": 5.0,
        "penalty_weight": 1.0,
    }
    assert isinstance(stage.arguments["gate_start"], float)


def test_two_choices_that_have_the_same_argument_both_get_it():
    arguments = {"saliency": "hard-concrete", "schedule": "gradual", "penalty": "group-lasso", "penalty_weight": 2.0}
    method = Prune(**arguments, sparsity=0.5)
    chosen = method.chosen(SALIENCIES, "hard-concrete"), method.chosen(PENALTIES, "group-lasso")
    assert [each.penalty_weight for each in chosen] == [2.0, 2.0]


def test_what_is_shown_of_pruning_names_each_argument_below_its_choice():
    shown = describe("prune")["method"]
    assert {"sparsity", "saliency"} <= set(shown["arguments"])
    assert not {"gate_start", "probes", "block"} & set(shown["arguments"])
    assert set(shown["arguments of saliency 'obd'"]) == {"pooling", "examples", "probes"}
    assert describe("obd")["saliency of prune"]["arguments"] == shown["arguments of saliency 'obd'"]
    assert shown["arguments of unit 'block'"]["block"].endswith("default (4, 4): rows and columns of a block, 4+4")


@pytest.mark.parametrize("registry", [UNITS, SALIENCIES, SELECTORS, SCHEDULES, PENALTIES], ids=lambda each: each.kind)
def test_every_choice_has_its_arguments_described_and_none_that_pruning_has(registry):
    for _, plugin in registry.items():
        assert not plugin.model_fields.keys() & Prune.model_fields.keys()
        assert all(field.description for field in plugin.model_fields.values())
