from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from bench.base.errors import SuiteError, UnknownNameError
from bench.methods.base.method import METHODS, Method
from bench.plan.recipes import expand, load_recipe, methods_of, saves_of
from bench.spec.recipe import RECIPES_DIR, read_recipe, recipe_names
from bench.spec.suite import Variants

FAMILIES = {
    "reference",
    "baseline",
    "weight-sharing",
    "low-rank",
    "pruning",
    "quantization",
    "distillation",
    "early-exit",
    "tokens",
    "mixture",
    "answering",
    "runtime",
}


def test_no_two_recipes_do_the_same():
    done = {}
    for name in recipe_names():
        recipe = load_recipe(name)
        stages = zip(recipe.stages, methods_of(recipe), strict=True)
        done.setdefault(
            json.dumps([(stage.method, made.stated()) for stage, made in stages], sort_keys=True), []
        ).append(name)
    assert [names for names in done.values() if len(names) > 1] == []


def test_the_recipes_of_the_package_are_there():
    assert set(recipe_names()) >= {
        "albert-sharing",
        "distillation",
        "distilled-int8",
        "int8",
        "magnitude-pruning",
        "none",
        "small-from-pretrained",
        "small-from-scratch",
        "svd",
        "theseus",
    }


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_file_loads_and_says_what_it_is(name):
    recipe = load_recipe(name)
    assert recipe.name == recipe.base == name
    assert all(isinstance(method, Method) for method in methods_of(recipe))
    assert len(methods_of(recipe)) == len(recipe.file.stages)
    assert recipe.file.title
    assert recipe.file.cite
    assert recipe.file.says.endswith(".")


@pytest.mark.parametrize("path", sorted(RECIPES_DIR.glob("*/*.toml")), ids=lambda path: path.stem)
def test_every_recipe_lies_in_the_folder_of_its_family(path):
    file = read_recipe(path.stem)
    assert file.family == path.parent.name
    assert file.family in FAMILIES


@pytest.mark.parametrize("name", recipe_names())
def test_published_figures_have_a_source_and_survey_rows_look_like_rows(name):
    file = read_recipe(name)
    assert all(published.figure and published.source for published in file.published)
    assert all(re.fullmatch(r"[A-Z]\d{1,2}", row) for row in file.rows)


def test_a_figure_that_a_column_can_hold_names_it_with_a_value_or_a_direction(write):
    figure = 'published = [{{ figure = "faster", source = "here", {} }}]\n'
    (published,) = read_recipe(write(figure.format('column = "speedup", value = 1.5, expect = "higher"'))).published
    assert (published.column, published.value, published.expect) == ("speedup", 1.5, "higher")
    assert read_recipe(write(figure.format("verified = true"))).published[0].column is None
    for typed, says in (
        ('column = "speedup"', "a figure with a column needs a value, an expect or both"),
        ("value = 1.5", "a figure with a column needs a value, an expect or both"),
        ('column = "speed", value = 1.5', "no column named 'speed'. Did you mean 'speedup'?"),
        ('column = "speedup", expect = "up"', "expected 'lower', 'same', 'higher' or 'not lower', found 'up'"),
        ('column = "speedup", value = 0', "expected a number above 0"),
    ):
        with pytest.raises(SuiteError, match=re.escape(says)):
            read_recipe(write(figure.format(typed)))


@pytest.mark.parametrize("name", recipe_names())
def test_a_figure_of_one_variant_is_about_one_of_this_recipe(name):
    for published in read_recipe(name).published:
        variant, bracket, arguments = published.of.partition("[")
        assert variant in ("", name)
        if bracket:
            overrides = dict(pair.split("=") for pair in arguments.removesuffix("]").split(","))
            assert load_recipe(name, overrides).name == published.of


def test_only_a_mechanism_says_what_is_missing(write):
    path = write('status = "mechanism"\nmissing = "pretraining"\n')
    assert read_recipe(path).missing == "pretraining"
    for text in ('status = "mechanism"\n', 'missing = "pretraining"\n'):
        with pytest.raises(SuiteError, match="If, and only if, status is 'mechanism'"):
            load_recipe(write(text))
    with pytest.raises(SuiteError, match="expected 'faithful' or 'mechanism'"):
        load_recipe(write('status = "rough"\n'))


def test_what_a_recipe_saves_is_what_its_stages_save():
    assert saves_of(read_recipe("none")) == ()
    assert saves_of(read_recipe("albert-sharing")) == ("bytes",)
    assert saves_of(read_recipe("universal-transformer")) == ("bytes", "macs", "time")
    for name in recipe_names():
        saves = {saving for method in methods_of(load_recipe(name)) for saving in method.saving()}
        assert set(saves_of(read_recipe(name))) == saves


def test_names_are_unique_over_the_families():
    names = [path.stem for path in RECIPES_DIR.glob("*/*.toml")]
    assert len(names) == len(set(names))


def test_the_reference_has_no_stage():
    assert load_recipe("none").stages == ()
    assert load_recipe("none").file.family == "reference"


def test_every_method_is_used_by_a_recipe():
    used = {stage.method for name in recipe_names() for stage in load_recipe(name).stages}
    assert used >= set(METHODS.names())


def test_the_first_stage_of_distilled_int8_is_the_recipe_distillation():
    assert load_recipe("distilled-int8").stages[0] == load_recipe("distillation").stages[0]
    assert load_recipe("distilled-int8").stages[1] == load_recipe("int8").stages[0]


def test_stages_hold_every_argument_resolved():
    (stage,) = load_recipe("magnitude-pruning").stages
    method = METHODS.get("prune")
    assert set(stage.arguments) == set(method.model_fields)


def test_an_override_changes_the_argument_and_the_name():
    recipe = load_recipe("magnitude-pruning", {"sparsity": 0.9})
    assert recipe.stages[0].arguments["sparsity"] == 0.9
    assert recipe.name == "magnitude-pruning[sparsity=0.9]"
    assert recipe.base == "magnitude-pruning"


def test_a_value_out_of_range_is_refused_with_file_key_and_finding():
    with pytest.raises(SuiteError) as caught:
        load_recipe("magnitude-pruning", {"sparsity": 1.5})
    assert str(caught.value) == (
        "recipes/pruning/magnitude-pruning.toml: stage 1: sparsity: expected a number below 1, found 1.5"
    )


@pytest.mark.parametrize(
    ("recipe", "key", "value", "says"),
    [
        ("magnitude-pruning", "scope", "globally", "expected 'global', 'class' or 'layer'"),
        ("magnitude-pruning", "sparsity", float("nan"), "sparsity"),
        ("magnitude-pruning", "budget", -1, "expected a number of at least 0"),
        ("distillation", "budget", 0, "expected a number above 0"),
        ("distillation", "terms.logits.divergence.temperature", 0, "expected a number above 0"),
        ("distillation", "terms.logits.weight", -1, "expected a number of at least 0"),
        ("distillation", "student.layers", 0, "expected a number of at least 1"),
        ("theseus", "start", 2, "expected a number of at most 1"),
        ("int8", "bits", 4, "which need bits = 8"),
        ("svd", "rank", 8, "give exactly one of ratio, rank, energy, parameters and loss"),
        ("albert-sharing", "unique", 2, "map 'all' stores one layer"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_with_a_reason(recipe, key, value, says):
    with pytest.raises(SuiteError, match=re.escape(says)):
        load_recipe(recipe, {key: value})


def test_an_unknown_argument_suggests_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        load_recipe("magnitude-pruning", {"sparsety": 0.5})
    assert str(caught.value) == (
        "--set magnitude-pruning.sparsety: no argument named 'sparsety'. Did you mean 'sparsity'?"
    )


def test_an_argument_of_a_recipe_without_stages_is_refused():
    with pytest.raises(UnknownNameError, match=r"no argument named 'sparsity'\. Known: none\."):
        load_recipe("none", {"sparsity": 0.5})


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="no recipe named 'distilation'"):
        load_recipe("distilation")


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "mine.toml"
        path.write_text('title = "Mine"\nfamily = "mixture"\ncite = "here"\n' + text, encoding="utf-8")
        return str(path)

    return make


def test_a_recipe_file_of_ones_own_may_be_named_by_path(write):
    recipe = load_recipe(write('[[stages]]\nmethod = "prune"\nsparsity = 0.25\n'))
    assert recipe.name == "mine"
    assert methods_of(recipe)[0].sparsity == 0.25


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '[[stages]]\nmethod = "prun"\nsparsity = 0.25\n',
            "stage 1: method: no method named 'prun'. Did you mean 'prune'?",
        ),
        ("[[stages]]\nsparsity = 0.25\n", "stage 1: missing key 'method'"),
        ('[[stages]]\nmethod = "prune"\n', "sparsity is missing: saliency 'magnitude' does not determine"),
        (
            '[[stages]]\nmethod = "prune"\nsparsity = 0.5\nscop = "layer"\n',
            "no key named 'scop'. Did you mean 'scope'?",
        ),
        ('stage = "x"\n', "no key named 'stage'. Did you mean 'stages'?"),
        ("stages = [\n", "not valid TOML"),
    ],
)
def test_a_malformed_file_is_refused_by_file_and_key(write, text, says):
    with pytest.raises((SuiteError, UnknownNameError), match=re.escape(says)) as caught:
        load_recipe(write(text))
    assert "mine.toml" in str(caught.value)


def test_an_override_that_two_stages_could_take_must_name_its_stage(write):
    path = write('[[stages]]\nmethod = "prune"\nsparsity = 0.2\n[[stages]]\nmethod = "prune"\nsparsity = 0.4\n')
    with pytest.raises(SuiteError, match=r"several stages have 'sparsity'; say which, for example '1\.sparsity'"):
        load_recipe(path, {"sparsity": 0.5})
    recipe = load_recipe(path, {"2.sparsity": 0.5})
    assert [stage.arguments["sparsity"] for stage in recipe.stages] == [0.2, 0.5]
    with pytest.raises(SuiteError, match="'3' is not one of the stages 1 to 2"):
        load_recipe(path, {"3.sparsity": 0.5})


def test_lists_in_a_choice_are_a_grid():
    recipes = expand(Variants(recipe="magnitude-pruning", set={"sparsity": [0.5, 0.9], "scope": ["global", "layer"]}))
    assert [recipe.name for recipe in recipes] == [
        "magnitude-pruning[sparsity=0.5,scope=global]",
        "magnitude-pruning[sparsity=0.5,scope=layer]",
        "magnitude-pruning[sparsity=0.9,scope=global]",
        "magnitude-pruning[sparsity=0.9,scope=layer]",
    ]


def test_reading_recipes_imports_no_torch():
    code = (
        "import sys; from bench.plan.recipes import load_recipe, methods_of; "
        "from bench.spec.recipe import recipe_names; "
        "[methods_of(load_recipe(name)) for name in recipe_names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_with_a_plus_sign_between_them_are_one_recipe_of_all_stages():
    chain = load_recipe("distillation+magnitude-pruning+int8")
    parts = [load_recipe(name) for name in ("distillation", "magnitude-pruning", "int8")]
    assert chain.stages == tuple(stage for part in parts for stage in part.stages)
    assert chain.name == chain.base == "distillation+magnitude-pruning+int8"
    assert chain.file.family == "mixture"
    assert chain.file.rows == ()  # it is none of the published systems
    assert chain.file.published == ()
    assert chain.file.title == ", then ".join(part.file.title for part in parts)
    assert set(chain.file.checked) == {line for part in parts for line in part.file.checked}


def test_a_chain_of_one_family_keeps_it_and_a_baseline_does_not_count():
    assert load_recipe("magnitude-pruning+movement").file.family == "pruning"
    assert load_recipe("small-from-pretrained+int8").file.family == "quantization"
    assert load_recipe("none+small-from-pretrained").file.family == "baseline"


def test_a_part_of_a_published_system_makes_the_chain_a_mechanism():
    assert load_recipe("tinybert+int8").file.missing == read_recipe("tinybert").missing
    assert load_recipe("tinybert+int8").file.status == "mechanism"


def test_arguments_of_a_chain_go_to_the_stage_that_has_them():
    recipe = load_recipe("distillation+magnitude-pruning", {"sparsity": 0.9, "1.budget": 2.0})
    assert [stage.arguments.get("sparsity") for stage in recipe.stages] == [None, 0.9]
    assert recipe.stages[0].arguments["budget"] == 2.0
    assert recipe.name == "distillation+magnitude-pruning[sparsity=0.9,1.budget=2.0]"


def test_a_file_joins_a_chain_and_one_with_a_plus_sign_in_its_name_stays_a_file(tmp_path):
    own = tmp_path / "my-own.toml"
    own.write_text((RECIPES_DIR / "quantization/int8.toml").read_text())
    assert load_recipe(f"distillation+{own}").base == "distillation+my-own"
    odd = tmp_path / "a+b.toml"
    odd.write_text(own.read_text())
    assert load_recipe(str(odd)).base == "a+b"


def test_an_unknown_part_of_a_chain_is_named():
    with pytest.raises(UnknownNameError, match=r"'int9'.*int8"):
        load_recipe("distillation+int9")
