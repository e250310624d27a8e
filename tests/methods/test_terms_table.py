"""Terms as data: maps of layers, the forms in which a recipe writes them, and overrides."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from bench.analysis.arguments import stated
from bench.base.errors import MethodError, SuiteError
from bench.methods.base.terms.maps import LAYER_MAPS
from bench.methods.base.terms.table import Terms
from bench.methods.distill.distill import Distill
from bench.methods.prune.prune import Prune
from bench.plan.recipes import load_recipe, methods_of


@pytest.mark.parametrize(
    ("given", "student", "teacher", "layers"),
    [
        ("skip", 6, 12, [2, 4, 6, 8, 10]),
        ("skip", 3, 12, [4, 8]),
        ("skip", 3, 6, [2, 4]),
        ("last", 6, 12, [7, 8, 9, 10, 11]),
        ("last", 3, 12, [10, 11]),
        ("uniform", 4, 12, [3, 6, 9, 12]),
        ("uniform", 6, 12, [2, 4, 6, 8, 10, 12]),
        ("uniform", 4, 4, [1, 2, 3, 4]),
        ("one-to-one", 3, 3, [1, 2, 3]),
    ],
)
def test_a_map_gives_exactly_the_layers_of_its_paper(given, student, teacher, layers):
    pairs = LAYER_MAPS.made(given).pairs(student, teacher)
    assert pairs == tuple(zip(range(1, student + 1), layers, strict=False))
    assert len(pairs) == len(layers)


def test_the_top_map_takes_the_last_layers_or_a_given_one_of_the_teacher():
    assert LAYER_MAPS.made("top").pairs(6, 24) == ((6, 24),)
    assert LAYER_MAPS.made({"name": "top", "layer": 21}).pairs(6, 24) == ((6, 21),)
    with pytest.raises(MethodError, match="layer is 21, but the teacher has 12"):
        LAYER_MAPS.made({"name": "top", "layer": 21}).pairs(6, 12)


def test_explicit_pairs_are_taken_as_they_are_also_from_a_command_line():
    for given in ([[0, 0], [1, 3]], "0:0+1:3"):
        assert LAYER_MAPS.made({"name": "explicit", "layers": given}).pairs(2, 4) == ((0, 0), (1, 3))
    with pytest.raises(MethodError, match=r"the pair \[1, 5\] is outside"):
        LAYER_MAPS.made({"name": "explicit", "layers": [[1, 5]]}).pairs(2, 4)


@pytest.mark.parametrize("name", ["skip", "last"])
def test_maps_without_the_last_layer_need_two(name):
    with pytest.raises(MethodError, match="the student has only one"):
        LAYER_MAPS.made(name).pairs(1, 4)


@pytest.mark.parametrize(
    ("name", "says"), [("one-to-one", "cannot be"), ("uniform", "explicit"), ("last", "teacher 4")]
)
def test_depths_that_a_map_cannot_pair_are_refused(name, says):
    with pytest.raises(MethodError, match=says):
        LAYER_MAPS.made(name).pairs(6, 4)


def test_a_number_is_a_weight_and_a_key_says_what_is_compared():
    terms = Terms.made({"labels": 0.5, "upper": {"what": "hidden", "map": "top"}, "hidden": {"weight": 2}})
    assert [terms[key].what.called for key in terms] == ["labels", "hidden", "hidden"]
    assert terms.table(stated=True) == {"labels": 0.5, "upper": {"what": "hidden", "map": "top"}, "hidden": 2.0}


def test_what_is_written_out_is_read_back_and_stated_in_one_form():
    method = Distill(terms={"logits": {"weight": 0.5, "divergence": "kl"}, "cls": {"map": "skip"}, "labels": 0.25})
    dumped = json.loads(json.dumps(method.model_dump(mode="json")))
    assert Distill.model_validate(dumped) == method
    assert method.stated() == {"terms": {"cls": 1.0, "labels": 0.25, "logits": 0.5}}
    assert Distill.model_validate(method.stated()) == method


def test_default_terms_are_not_stated_so_that_keys_stay():
    assert Prune(sparsity=0.5).stated() == {"sparsity": 0.5}
    assert Prune(sparsity=0.5, terms={"labels": 1.0}).stated() == {"sparsity": 0.5}
    assert Distill().stated() == {}
    (method,) = methods_of(load_recipe("distillation"))
    assert method.stated() == {}


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"logitz": 1.0}, "Did you mean 'logits'"),
        ({"labels": {"divergence": "kl"}}, "divergence has no effect on a term of 'labels'"),
        ({"logits": {"map": "top"}}, "map has no effect on a term of 'logits'"),
        ({"attention": {"projection": "shared"}}, "projection has no effect"),
        ({"hidden": {"projected": "teacher"}}, "projected has no effect"),
        ({"labels": {"teachers": "mean"}}, "teachers has no effect"),
        ({"logits": {"reduce": "sum"}}, "reduce has no effect"),
        ({"logits": -1}, "greater than or equal to 0"),
        ({"hidden": {"mop": "top"}}, "Extra inputs"),
        ({}, "every term has weight 0"),
        ([1], "expected a table"),
    ],
)
def test_terms_that_make_no_sense_are_refused_with_a_reason(terms, says):
    with pytest.raises(ValidationError, match=says):
        Distill(terms=terms)


def test_overrides_reach_into_terms():
    changes = {"terms.logits.divergence.temperature": 4, "terms.logits.weight": 0.7, "terms.cls": 0.1}
    (method,) = methods_of(load_recipe("distillation", changes))
    assert method.stated()["terms"] == {
        "cls": 0.1,
        "labels": 0.5,
        "logits": {"weight": 0.7, "divergence": {"name": "kl", "temperature": 4.0}},
    }
    (added,) = methods_of(
        load_recipe("distillation", {"terms.hidden.map.layers": "1:2", "terms.hidden.map": "explicit"})
    )
    assert added.terms["hidden"].map.layers == ((1, 2),)


def test_an_override_goes_to_the_stage_that_has_the_term():
    first, second = methods_of(load_recipe("minilmv2", {"terms.relations.what.heads": 2, "terms.labels": 2.0}))
    assert (first.terms["relations"].what.heads, second.terms["labels"].weight) == (2, 2.0)
    with pytest.raises(SuiteError, match="several stages have 'terms'"):
        load_recipe("minilmv2", {"terms.hidden": 1.0})


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("terms.logits.weight.x", "'weight' of a term has no arguments"),
        ("terms.logits.by.x", "term 'logits' has no by. Name one of: "),
        ("terms.logits.divergence.t", "no argument of divergence 'kl' named 't'"),
        ("terms.logits.wait", "no key named 'wait'|Extra inputs|wait"),
    ],
)
def test_overrides_that_fit_nothing_are_refused(key, says):
    with pytest.raises(SuiteError, match=says):
        load_recipe("distillation", {key: 1})


def test_tables_find_every_argument_of_a_term_by_its_name():
    found = stated(load_recipe("distillation").stages)
    assert found["terms"] == "labels+logits"
    assert (found["terms.logits.weight"], found["terms.logits.divergence.temperature"]) == ("0.5", "2")
    assert found["student.layers"] == "none"
