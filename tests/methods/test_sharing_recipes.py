"""The recipes of the rows W1 to W7, as they stand in their files, on the models that they are for."""

from __future__ import annotations

import pytest
from families import make
from made_seq2seq import logits, made_bert2bert, made_marian, parameters

from bench.measures.computation.depth import dynamic_depth
from bench.methods.share.share import Share
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.spec.recipe import read_recipe, recipe_names

TRANSLATING = {
    "tied-transformer": made_marian,
    "bert-share": made_bert2bert,
    "recurrent-stacking": made_marian,
    "takase-sequence": made_marian,
    "takase-cycle": made_marian,
    "takase-cycle-rev": made_marian,
    "subformer": made_marian,
}
ENCODING = ("universal-transformer", "albert-sharing", "recurrent-stacking", "takase-cycle", "subformer")
ROWS = {
    "W1": {"tied-transformer"},
    "W2": {"bert-share"},
    "W3": {"recurrent-stacking"},
    "W4": {"universal-transformer"},
    "W5": {"albert-sharing"},
    "W6": {"takase-sequence", "takase-cycle", "takase-cycle-rev"},
    "W7": {"subformer"},
}


@pytest.fixture
def run(make_lab):
    """Every stage of a recipe on a model, without training; a fresh start has another seed."""

    def compress(name, build):
        model = build()
        lab = make_lab(model)
        object.__setattr__(lab, "train", lambda *args, **options: None)
        object.__setattr__(lab, "fresh", lambda depth, pretrained: build(seed=9))
        for method in methods_of(load_recipe(name)):
            model = method.compress(model, lab)
        return model

    return compress


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_its_recipes_in_the_folder_of_the_family(row):
    found = {name for name in recipe_names() if row in read_recipe(name).rows}
    assert found == ROWS[row]
    assert {read_recipe(name).family for name in found} == {"weight-sharing"}
    assert all(read_recipe(name).published and read_recipe(name).checked for name in found)


@pytest.mark.parametrize("name", TRANSLATING)
def test_a_recipe_for_translation_stores_less_and_runs_as_deep(run, name):
    build = TRANSLATING[name]
    shared = run(name, build)
    assert parameters(shared) < parameters(build())
    assert adapter_for(shared).depth(shared) == 8
    assert logits(shared).isfinite().all()


@pytest.mark.parametrize("name", ENCODING)
def test_a_recipe_for_encoders_stores_less_and_runs_at_most_as_deep(run, name):
    shared = run(name, lambda seed=0: make("bert", seed=seed))
    assert parameters(shared) < parameters(make("bert"))
    assert adapter_for(shared).depth(shared) == 4
    assert (dynamic_depth(shared) is not None) == (name == "universal-transformer")


@pytest.mark.parametrize("name", [*TRANSLATING, "universal-transformer", "albert-sharing"])
def test_what_is_trained_from_scratch_or_from_a_checkpoint_starts_so(name):
    first = methods_of(load_recipe(name))[0]
    starts = {"bert-share": "source", "albert-sharing": "first"}
    assert isinstance(first, Share)
    assert first.init == starts.get(name, "fresh")


def test_half_of_the_layers_are_stored_whatever_the_depth(run):
    for depth, stored in ((2, 1), (3, 2), (4, 2), (6, 3)):
        shared = run("takase-cycle", lambda seed=0, depth=depth: make("bert", seed=seed, num_hidden_layers=depth))
        assert len({id(layer) for layer in adapter_for(shared).layers(shared)}) == stored
