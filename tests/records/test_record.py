"""Records: written once and in one step, read back equal, refused where damaged or newer."""

import json
import os
from pathlib import Path

import pytest

from bench.base.errors import RecordError
from bench.records.arguments import nested, renamed, rephrased, termed
from bench.records.record import HISTORY, SCHEMA_VERSION, Record, read_record, read_records, write_record, write_text


def make(**changes) -> Record:
    data = {
        "key": "0123456789abcdef",
        "suite": "demo",
        "suite_version": 1,
        "generated": True,
        "task": "sentiment",
        "task_version": 1,
        "task_kind": "classification",
        "model": "demo-bert",
        "recipe": "none",
        "recipe_base": "none",
        "family": "reference",
        "seed": 0,
        "stages": (),
        "setting": {},
        "setting_id": "aaaaaaaa",
        "machine": {},
        "machine_id": "linux-cpu-2c-00000000",
        "created": "2026-01-01T00:00:00+00:00",
        "values": {"quality": 0.5},
        "reference": {"quality": 0.5},
        "absent": {"mcc": "not a metric of this task"},
        "samples": {},
        "conditions": {},
        "warnings": (),
        "provenance": {},
        "spans_s": {},
    }
    return Record.model_validate({**data, **changes})


def test_a_record_is_read_back_equal(tmp_path):
    record = make(values={"quality": 1 / 3})
    write_record(tmp_path / "demo" / "m" / "a.json", record)
    assert read_records(tmp_path, "demo") == [record]


def test_a_record_is_never_overwritten(tmp_path):
    write_record(tmp_path / "a.json", make())
    with pytest.raises(RecordError, match="never changed"):
        write_record(tmp_path / "a.json", make(seed=1))
    assert read_record(tmp_path / "a.json").seed == 0


def test_a_value_that_is_not_a_number_is_never_written(tmp_path):
    with pytest.raises(ValueError, match=r"values\.quality\.float\n  Input should be a finite number"):
        make(values={"quality": float("nan")})
    with pytest.raises(RecordError, match=r"a\.json: machine\.loads\[1\]: inf is not a finite number"):
        write_record(tmp_path / "a.json", make(machine={"loads": (0.1, float("inf"))}))
    assert list(tmp_path.iterdir()) == []


PLACES = {
    "values.quality": lambda data, bad: data["values"].update(quality=bad),
    "reference.quality": lambda data, bad: data["reference"].update(quality=bad),
    r"samples.pairs\[1\]": lambda data, bad: data["samples"].update(pairs=[1.0, bad, 2.0]),
    "conditions.carbon.idle_s": lambda data, bad: data["conditions"].update(carbon={"idle_s": bad}),
    "spans_s.training": lambda data, bad: data["spans_s"].update(training=bad),
}


def stored(tmp_path, change, bad):
    data = make().model_dump(mode="json")
    change(data, bad)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data), encoding="utf-8")  # which writes NaN and Infinity without a word
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_record_with_a_number_that_is_not_finite_is_refused_with_file_key_and_what_to_do(tmp_path, place, bad):
    path = stored(tmp_path, PLACES[place], bad)
    with pytest.raises(
        RecordError, match=rf"a\.json: not a valid record: {place}: {bad} is not .*\. Move it out of the"
    ):
        read_record(path)


@pytest.mark.parametrize("place", ["values.quality", "reference.quality", r"samples.pairs\[1\]"])
@pytest.mark.parametrize("bad", ["NaN", "0.5", "inf", True, None])
def test_a_text_or_a_truth_value_is_no_number(tmp_path, place, bad):
    path = stored(tmp_path, PLACES[place], bad)
    where = place.replace(r"\[1\]", ".1")
    with pytest.raises(RecordError, match=rf"a\.json: not a valid record: {where}.*Input should be a valid number"):
        read_record(path)


def test_a_number_too_large_for_a_float_is_refused(tmp_path):
    path = stored(tmp_path, PLACES["values.quality"], 0.25)
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", "1e999"), encoding="utf-8")
    with pytest.raises(RecordError, match=r"values\.quality: inf is not a finite number"):
        read_record(path)


@pytest.mark.parametrize("name", ["params", "size_bytes", "load_s"])
def test_a_value_below_the_least_of_its_column_is_refused(tmp_path, name):
    path = stored(tmp_path, lambda data, bad: data["values"].update({name: bad}), -1)
    with pytest.raises(RecordError, match=rf"values\.{name}: -1 is below 0, the column's minimum"):
        read_record(path)
    assert read_record(stored(tmp_path, lambda data, bad: data["values"].update({name: bad}), 0)).values[name] == 0


def test_scores_and_drops_may_be_below_zero(tmp_path):
    values = {"quality": -0.1, "drop": -0.2}  # a correlation, and an artifact better than its reference
    assert read_record(stored(tmp_path, lambda data, bad: data["values"].update(bad), values)).values == values


GOLDEN = Path(__file__).parent


@pytest.mark.parametrize("version", HISTORY)
def test_every_version_of_the_schema_has_a_golden_file_that_is_read(version):
    if version == SCHEMA_VERSION:
        return  # every other test writes and reads this one
    path = GOLDEN / f"version-{version}.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["schema_version"] == version
    record = read_record(path)
    assert record.schema_version == SCHEMA_VERSION
    kept = record.model_dump(mode="json")
    for key in stored.keys() - {"schema_version", "stages", "recipe"}:
        assert kept[key] == stored[key]


def test_stages_of_version_1_have_no_audit_and_say_so():
    record = read_record(GOLDEN / "version-1.json")
    assert [stage.method for stage in record.stages] == ["distill", "quantize"]
    assert [(stage.claimed, stage.real) for stage in record.stages] == [(None, None)] * 2
    assert {stage.unaudited for stage in record.stages} == {"made before stages were audited"}


def test_flat_arguments_of_version_2_are_tables_of_their_choices_and_nothing_else_changes():
    stored = json.loads((GOLDEN / "version-2.json").read_text(encoding="utf-8"))
    record = read_record(GOLDEN / "version-2.json")
    assert stored["recipe"] == "lottery-ticket[rounds=2,sparsity=0.36,budget=3.0,rewind=start]"
    assert record.recipe == "lottery-ticket[schedule.rounds=2,sparsity=0.36,budget=3.0,schedule.rewind=start]"
    (flat,), (stage,) = stored["stages"], record.stages
    moved = {key: value for key, value in flat["arguments"].items() if key not in stage.arguments}
    assert (moved.pop("alpha"), moved.pop("temperature")) == (0.0, 2.0)
    assert moved == {"rounds": 2, "rewind": "start"}
    assert stage.arguments["schedule"] == {"name": "rounds", **moved}
    kept = {key: value for key, value in stage.arguments.items() if key not in ("schedule", "terms")}
    assert kept.items() <= flat["arguments"].items()


@pytest.mark.parametrize(
    ("method", "name", "flat", "now"),
    [
        (
            "prune",
            "movement-pruning[score_start=magnitude]",
            {"saliency": "movement", "schedule": "gradual", "score_start": "magnitude", "rounds": 1},
            {"saliency": {"name": "movement", "start": "magnitude"}, "schedule": "gradual"},
        ),
        (
            "prune",
            "block[block=(8, 16),penalty_weight=0.5]",
            {"unit": "block", "block": [8, 16], "penalty": "group-lasso", "penalty_weight": 0.5},
            {"unit": {"name": "block", "size": [8, 16]}, "penalty": {"name": "group-lasso", "weight": 0.5}},
        ),
        (
            "quantize",
            "q-bert[groups=12]",
            {"scheme": "weights", "granularity": "groups", "groups": 12, "bits": 3, "activation_bits": 8},
            {
                "scheme": {"name": "weights", "activation_bits": 8},
                "granularity": {"name": "groups", "count": 12},
                "bits": 3,
            },
        ),
        (
            "quantize",
            "static[percentile=99.0]",
            {"scheme": "static", "activation_range": "percentile", "percentile": 99.0, "examples": 8, "choices": [2]},
            {"scheme": "static", "activation_range": {"name": "percentile", "percent": 99.0}, "examples": 8},
        ),
        (
            "quantize",
            "hawq[1.choices=(3, 4)]",
            {"allocation": "hessian", "choices": [3, 4], "average_bits": 3.5, "role_bits": {"embedding": 8}},
            {"allocation": {"name": "hessian", "widths": [3, 4], "average_bits": 3.5}, "role_bits": {"embedding": 8}},
        ),
        (
            "factorize",
            "attention[cores=2]",
            {"solver": "block-term", "cores": 2, "rank": 4},
            {"solver": {"name": "block-term", "cores": 2}, "rank": 4},
        ),
        (
            "prune",
            "obd[1.examples=64]",
            {"saliency": "obd", "examples": 64},
            {"saliency": {"name": "obd", "examples": 64}},
        ),
        ("prune", "plain[pooling=max]", {"pooling": "max"}, {"saliency": {"name": "magnitude", "pooling": "max"}}),
    ],
)
def test_an_old_argument_goes_to_the_choice_that_took_it(method, name, flat, now):
    assert nested(method, flat) == now
    key = renamed(name, [(method, flat)]).partition("[")[2].partition("=")[0].removeprefix("1.")
    choice, _, argument = key.partition(".")
    assert argument in now[choice]


def test_arguments_of_a_method_without_choices_stay_as_they_are():
    assert nested("distill", {"budget": 1.0, "rounds": 3}) == {"budget": 1.0, "rounds": 3}
    assert renamed("mine[budget=1.0]", [("distill", {"budget": 1.0})]) == "mine[budget=1.0]"


def test_weights_of_version_3_are_a_table_of_terms_and_nothing_else_changes():
    stored = json.loads((GOLDEN / "version-3.json").read_text(encoding="utf-8"))
    record = read_record(GOLDEN / "version-3.json")
    (flat,), (stage,) = stored["stages"], record.stages
    assert {"alpha", "temperature", "layers", "init"} <= flat["arguments"].keys()
    logits = {"weight": 0.5, "divergence": {"name": "kl", "temperature": 2.0}}
    assert stage.arguments == {
        "budget": 1.0,
        "learning_rate": None,
        "terms": {"labels": {"weight": 0.5}, "logits": logits},
        "student": {"name": "layers", "layers": None, "weights": "given"},
    }


TERNARY = {"alpha": 1.0, "temperature": 1.0, "features": 0.5, "attention": 1.0, "feature_terms": "sum"}
KL = {"name": "kl", "temperature": 1.0}


@pytest.mark.parametrize(
    ("method", "old", "now"),
    [
        ("shallow", {"layers": 2, "init": "fresh"}, {"layers": 2, "init": "fresh"}),
        ("prune", {"sparsity": 0.5}, {"sparsity": 0.5}),
        ("prune", {"alpha": 0.0, "temperature": 2.0}, {"terms": {"labels": {"weight": 1.0}}}),
        (
            "quantize",
            TERNARY,
            {
                "terms": {
                    "logits": {"weight": 0.5, "divergence": KL},
                    "states": {"weight": 0.5, "what": {"name": "states", "outputs": False}, "reduce": "sum"},
                    "attention-scores": {"weight": 0.5, "reduce": "sum"},
                }
            },
        ),
        (
            "factorize",
            {"features": 1.0},
            {"terms": {"states": {"weight": 1.0, "what": {"name": "states", "outputs": True}, "reduce": "mean"}}},
        ),
        ("distill", {"layers": "all"}, {"student": "same"}),
    ],
)
def test_old_weights_become_the_terms_that_they_stood_for(method, old, now):
    assert termed(method, old) == now


def test_names_of_recipes_say_student_and_terms():
    stages = [("distill", {})]
    name = "distillation[layers=3,temperature=4.0,budget=2.0]"
    now = "distillation[student.layers=3,terms.logits.divergence.temperature=4.0,budget=2.0]"
    assert rephrased(name, stages) == now
    assert rephrased("distillation[1.layers=all,init=reference]", stages) == (
        "distillation[1.student=same,student.weights=given]"
    )
    assert rephrased("small[layers=3]", [("shallow", {})]) == "small[layers=3]"


def test_a_record_of_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, json.dumps({**make().model_dump(mode="json"), "schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(RecordError, match="newer than version 4 of this bench"):
        read_record(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 2}'])
def test_a_damaged_record_is_refused_by_name(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"a\.json"):
        read_record(path)


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(RecordError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.json", "{}")


def test_a_full_disk_leaves_neither_a_record_nor_a_piece_of_one(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left on device"):
        write_record(tmp_path / "a.json", make())
    assert list(Path(tmp_path).iterdir()) == []


def test_a_written_file_can_be_read_by_others(tmp_path):
    write_text(tmp_path / "record.json", "{}")
    assert (tmp_path / "record.json").stat().st_mode & 0o777 == 0o644
