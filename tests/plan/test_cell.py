"""The keys under which a cell is filed, and the names of its files."""

import json
from dataclasses import replace

import pytest
from families import make
from pydantic import Field

from bench.base.errors import ModelError
from bench.methods.base.method import METHODS
from bench.models.tokenizer import write_tokenizer
from bench.plan.cell import LONGEST, Conditions, plan
from bench.plan.fit import Fit
from bench.plan.recipes import load_recipe
from bench.plan.recorded import made_from
from bench.spec.setting import Measuring, Setting, Training
from bench.spec.suite import Task, load_suite


def cell_of(*, model="demo-bert", name=None, recipe="none", **changes):
    suite = load_suite("demo", overrides=[(key.replace("__", "."), value) for key, value in changes.items()])
    given = {"model": model, "recipes": [load_recipe(recipe)], "seeds": [0], "conditions": Conditions()}
    return plan(suite, tasks=suite.tasks[:1], name=name, **given)[0]


def test_a_cell_that_skips_measures_is_another_record_of_the_same_artifact():
    whole, fewer, none = cell_of(), cell_of(measuring__skip=["latency", "carbon"]), cell_of(measuring__skip=[])
    assert fewer.key != whole.key == none.key
    assert fewer.artifact_place == whole.artifact_place
    assert cell_of(measuring__skip=["carbon", "latency"]).key == fewer.key


@pytest.fixture
def checkpoint(tmp_path):
    """A function that saves a tiny BERT whose tokenizer knows the demo's words, with or without segment ids."""

    def write(folder, *, segments=True):
        from bench.artifacts.source import open_source
        from bench.tasks.data import load_data

        task = load_suite("demo").tasks[0]
        rows = load_data(task, data_dir=None).splits[task.train]
        tokenizer = open_source("demo-bert").tokenizer(lambda: (text for row in rows for text in row.texts))
        path = tmp_path / folder
        names = {0: "negative", 1: "positive"}
        make("bert", labels=2, id2label=names, vocab_size=len(tokenizer), max_position_embeddings=64).save_pretrained(
            path
        )
        write_tokenizer(tokenizer, path)
        if not segments:
            settings = json.loads((path / "tokenizer_config.json").read_text())
            settings["model_input_names"] = ["input_ids", "attention_mask"]
            (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        return path

    return write


def test_a_model_is_called_by_its_folder_unless_it_is_given_a_name(checkpoint):
    path = checkpoint("a/checkpoint-500")
    plain, named = cell_of(model=str(path)), cell_of(model=str(path), name="run-a/500")
    assert (plain.model_name, named.model_name) == ("checkpoint-500", "run-a/500")
    assert plain.key == named.key  # the content decides, not the name
    assert plain.slug.startswith("sentiment--checkpoint-500--none--seed0--")
    assert named.slug.startswith("sentiment--run-a-500--none--seed0--")


@pytest.mark.parametrize("name", ["", "..", "../a", "/a", "a b", "a@b", "a\n", "x" * 101])
def test_a_name_that_is_none_is_refused_before_anything_is_read(name):
    with pytest.raises(ModelError, match="--name: found"):
        cell_of(model="no-such-model-at-all", name=name)


def test_a_file_name_is_cut_to_what_a_file_system_takes_and_stays_unique(checkpoint, tmp_path):
    path = checkpoint("m")
    long = tmp_path / ("x" * 230)
    long.symlink_to(path)
    cell = cell_of(model=str(long))
    assert len(cell.slug) == LONGEST
    assert cell.slug.endswith(f"--none--seed0--{cell.key[:8]}")
    assert (tmp_path / f"{cell.slug}.decoding_laps.parquet").write_text("fits")


def test_only_segment_ids_that_are_added_here_change_a_key(checkpoint, monkeypatch):
    def examined(segments):
        monkeypatch.setattr("bench.plan.cell.examine", lambda *_, **__: Fit(conditions={}, segments=segments))

    path = str(checkpoint("m", segments=False))
    found = cell_of(model=path)
    assert found.fit.segments == "added"
    keys = {}
    for segments in ("given", "left out", "none", "added"):
        examined(segments)
        keys[segments] = cell_of(model=path).reference_key
    assert keys["given"] == keys["left out"] == keys["none"] != keys["added"]
    assert found.reference_key == keys["added"]


def test_texts_that_do_not_fit_are_refused_when_the_run_is_planned(checkpoint):
    with pytest.raises(ModelError, match=r"task sentiment has max_length 65.*at most 64 tokens"):
        cell_of(model=str(checkpoint("m")), max_length=65)


def test_an_argument_or_a_field_that_is_added_later_changes_no_key(monkeypatch):
    class LaterTraining(Training):
        later: int = 3

    class LaterMeasuring(Measuring):
        later: float = 0.5

    class LaterSetting(Setting):
        later: tuple[str, ...] = ("a",)
        training: LaterTraining = LaterTraining()
        measuring: LaterMeasuring

    class LaterTask(Task):
        later: str | None = None

    class LaterPruning(METHODS.get("prune")):
        later: dict[str, int] = Field({"a": 1})

    before = cell_of(recipe="magnitude-pruning")
    setting = LaterSetting(**before.suite.setting.model_dump())
    tasks = [LaterTask(**task.model_dump()) for task in before.suite.tasks]
    suite = before.suite.model_copy(update={"setting": setting, "tasks": tuple(tasks)})
    monkeypatch.setitem(METHODS._plugins, "prune", LaterPruning)
    monkeypatch.setattr("bench.spec.suite.Training", LaterTraining)
    given = {"model": "demo-bert", "seeds": [0], "conditions": Conditions()}

    def keys(suite, **arguments):
        recipe = load_recipe("magnitude-pruning", arguments)
        (cell,) = plan(suite, tasks=suite.tasks[:1], recipes=[recipe], **given)
        return cell.suite.setting_id, cell.reference_key, cell.stage_keys, cell.key

    after = keys(suite)
    assert after == (before.suite.setting_id, before.reference_key, before.stage_keys, before.key)
    assert keys(suite, later={"a": 2})[2] != after[2]
    other = setting.model_copy(update={"training": LaterTraining(**{**setting.training.model_dump(), "later": 4})})
    changed = keys(suite.model_copy(update={"setting": other}))
    assert all(one != another for one, another in zip(changed, after, strict=True))


def test_a_teacher_in_a_folder_changes_the_key_with_its_content_and_records_know_it(checkpoint, tmp_path):
    """The same path with other weights is another artifact; a record says what was in the folder."""
    path = checkpoint("teacher")
    recipe = load_recipe("distillation", overrides={"teacher": {"name": "artifact", "path": str(path)}})
    suite = load_suite("demo")
    options = {"tasks": suite.tasks[:1], "model": "demo-bert", "recipes": [recipe], "seeds": [0]}

    def planned():
        return plan(suite, conditions=Conditions(), **options)[0]

    first = planned()
    assert planned().stage_keys == first.stage_keys
    make("bert", labels=2, seed=9, id2label={0: "negative", 1: "positive"}, vocab_size=100).save_pretrained(path)
    second = planned()
    assert first.stated_stages == second.stated_stages
    assert first.stage_keys != second.stage_keys
    assert first.key != second.key
    assert list(first.elsewhere) == [str(path)]
    assert made_from(first)["elsewhere"] != made_from(second)["elsewhere"]
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    with pytest.raises(ModelError, match="no such directory; expected an artifact of bench or a checkpoint"):
        planned()


def test_a_title_changes_no_key():
    before = cell_of()
    task = before.task.model_copy(update={"title": "Another title"})
    assert replace(before, task=task).key == before.key
    assert replace(before, task=task.model_copy(update={"labels": ("b", "a")})).key != before.key
