"""A package whose plug-ins all fail: each is named and skipped, and fatal only for what uses it."""

import pytest

SKIPPED = {
    "suites": ["plug-in 'broken-suites' of package broken (bench.suites: broken.suites) failed: no module named"],
    "recipes": [
        "plug-in 'svd' of package broken (bench.recipes: broken.recipes) failed: recipe 'svd' exists twice: ",
        "plug-in 'unknown-key' of package broken (bench.recipes: broken.recipes) failed: ",
    ],
    "methods": [
        "plug-in 'broken-method' of package broken (bench.methods: broken.method) failed: "
        "ModuleNotFoundError: No module named 'no_such_library'",
        "plug-in 'magic' of package broken (bench.methods: broken.nothing) failed: it registers no method",
    ],
    "choices": ["plug-in 'broken-solver' of package broken (bench.solvers: broken.method) failed: "],
    "measures": [
        "plug-in 'broken-measure' of package broken (bench.measures: broken.measure) failed: "
        "RuntimeError: this package needs a licence"
    ],
    "columns": ["plug-in 'broken-metric' of package broken (bench.metrics: broken.no_such_module) failed: "],
}
THERE = {
    "suites": "outside ",
    "recipes": "drop-one ",
    "methods": "drop-last ",
    "choices": "rows ",
    "measures": "depth ",
    "columns": "layers_run ",
}


@pytest.mark.parametrize("kind", SKIPPED)
def test_a_listing_names_what_is_broken_in_a_line_each_and_lists_the_rest(broken, kind):
    done = broken("list", kind)
    assert done.returncode == 0
    assert any(line.startswith(THERE[kind]) for line in done.stdout.splitlines())
    lines = done.stderr.splitlines()
    for skipped in SKIPPED[kind]:
        assert [line for line in lines if line.startswith(f"bench: skipped: {skipped}")], done.stderr
    assert all(line.startswith("bench: skipped: ") for line in lines)


FINE = ["drop-last", "accuracy"]
ASKED_FOR = [
    ("broken-method", "No module named 'no_such_library'"),
    ("magic", "it registers no method"),
    ("broken-measure", "RuntimeError: this package needs a licence"),
    ("svd", "recipe 'svd' exists twice: "),
    ("unknown-key", "title"),
]


@pytest.fixture(scope="module")
def shown(broken):
    """What `bench show` says of each name."""
    return broken.several(*(["show", name] for name in FINE), *(["show", name] for name, _ in ASKED_FOR))


@pytest.mark.parametrize("name", FINE)
def test_what_is_not_broken_is_shown(shown, name):
    done = shown["show", name]
    assert done.returncode == 0
    assert done.stdout.startswith(f"{name} (")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "cause"), ASKED_FOR)
def test_what_is_broken_is_an_error_of_one_line_if_it_is_asked_for(shown, name, cause):
    done = shown["show", name]
    assert done.returncode == 2
    error, *_ = done.stderr.partition("bench: skipped: ")
    assert cause in error
    assert "Traceback" not in done.stderr


def test_a_suite_that_uses_nothing_broken_is_sound(broken):
    assert broken("check", "outside").returncode == 0


@pytest.mark.parametrize(
    ("key", "old", "new", "says"),
    [
        (
            "kind",
            "stars",
            "regression",
            "task kind 'regression' is registered twice: by bench.tasks.kinds.sequence and",
        ),
        ("metric", "balanced_accuracy", "broken-metric", "plug-in 'broken-metric' of package broken"),
        ("recipe", "kept-rows", "svd", "recipe 'svd' exists twice: "),
    ],
)
def test_a_suite_that_uses_what_is_broken_is_refused_with_the_plug_in_and_the_cause(broken, key, old, new, says):
    text = (broken.folder / "source" / "outside" / "outside" / "suites" / "outside.toml").read_text("utf-8")
    (broken.folder / f"{key}.toml").write_text(text.replace(f'"{old}"', f'"{new}"'), "utf-8")
    done = broken("check", f"{key}.toml")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
