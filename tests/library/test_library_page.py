"""What docs/library.md shows works from top to bottom, and gives what the page says it gives."""

import json

import pandas
import pytest
import torch
from made_page import PAGE

import bench
from bench.artifacts.artifact import content_hash
from bench.artifacts.store import Store


def test_a_run_gives_the_records_that_it_wrote(page):
    written = [json.loads(path.read_text()) for path in (page["folder"] / "results").glob("my-suite/*/*.json")]
    assert page["sizes"] == {record["recipe"]: record["values"]["size_bytes"] for record in written}
    assert set(page["sizes"]) == {"none", "int8"}
    assert "2 records" in page["printed"]
    assert "generated" in page["printed"].lower()


def test_a_frame_holds_the_records_values_and_the_reason_of_each_that_is_missing(page):
    frame = page["frame"].set_index("recipe")
    for record in page["results"]:
        row = frame.loc[record.recipe]
        assert {name: row[name] for name in record.values} == record.values
        assert row["absent"] == record.absent
    assert frame["size_bytes"].dtype == "Int64"
    assert frame["quality"].dtype == "Float64"
    assert page["smallest"] == "int8"
    assert all("latency" in reason for reason in page["why"].values())


def test_a_value_that_one_record_lacks_is_missing_in_the_frame(page):
    first, second = page["results"].found
    without = {name: value for name, value in second.record.values.items() if name != "macs"}
    less = type(second)(record=second.record.model_copy(update={"values": without}), path=second.path)
    frame = bench.Results((first, less)).to_pandas()
    assert frame["macs"].iloc[1] is pandas.NA
    assert frame["macs"].iloc[0] == first.record.values["macs"]


def test_only_the_asked_records_are_in_a_narrowed_table(page):
    assert [row["recipe"] for row in page["table"].table.rows] == ["int8"]


def test_boards_fronts_and_grids_are_written_and_drawn(page):
    assert (page["folder"] / "board.md").read_text().startswith("**A tiny generated suite**")
    assert (page["folder"] / "front.svg").read_text().startswith("<?xml")
    assert page["figure"]._repr_png_().startswith(b"\x89PNG")
    assert page["figure"] is not page["front"].plot()
    assert {place.standing.recipe for place in page["board"].board.places} == {"none", "int8"}
    assert [row.recipe for row in page["front"].front.rows] == ["none", "int8"]
    assert page["grid"].grid.axes.rows == ("scheme",)


def test_int8_is_smaller_and_its_bytes_decide_that(page):
    assert page["verdicts"]["size_bytes"] == "better"
    assert page["comparison"].table.rows


def test_compressing_makes_what_the_run_made_and_takes_the_reference_from_the_cache(page):
    store = Store(page["folder"] / "cache")
    references = [entry.key for entry in store.entries() if entry.kind == "references"]
    assert len({content_hash(store.path("references", key)) for key in references}) == 1
    (of_run,) = [entry.key for entry in store.entries() if entry.title.startswith("int8 of demo-bert")]
    run, own = bench.load_artifact(store.path("artifacts", of_run)).model.state_dict(), page["model"].state_dict()
    assert run.keys() == own.keys()
    assert all(torch.equal(run[name], own[name]) for name in run if isinstance(run[name], torch.Tensor))


def test_a_saved_model_gives_the_same_outputs_again(page):
    again = page["again"](**page["inputs"]).logits
    assert torch.equal(again, page["logits"])
    assert page["logits"].shape == (1, 2)
    assert not page["model"].training


def test_a_given_module_is_the_reference_as_it_is(page):
    bench.save_artifact(page["reference"], page["folder"] / "given")
    assert page["record"].provenance["reference"]["content_hash"] == content_hash(page["folder"] / "given")


def test_measuring_gives_the_bytes_of_the_saved_model_and_keeps_no_record(page):
    record, folder = page["record"], page["folder"]
    size = sum((folder / "small" / name).stat().st_size for name in ("model.safetensors", "layers.json"))
    assert record.values["size_bytes"] == size
    assert page["smaller"] == pytest.approx(record.reference["size_bytes"] / size)
    assert (record.recipe, record.recipe_base, record.model) == ("given", "given", "given")
    assert [stage.method for stage in record.stages] == ["quantize"]
    assert len(list((folder / "results").glob("**/*.json"))) == 2


def test_what_is_listed_can_be_shown_and_checked(page):
    assert "int8" in set(page["recipes"])
    assert len(page["recipes"]) == len(page["recipes"].table.rows)
    assert "recipes" not in page["recipes"]
    assert {finding.level for finding in page["machine"].findings} <= {"ok", "note", "problem"}
    assert page["page"].render().startswith("# The rows of the survey")


def test_a_method_that_is_registered_is_known(page):
    assert "drop-first" in page["methods"]


def test_the_page_names_everything_that_can_be_imported():
    text = PAGE.read_text(encoding="utf-8")
    missing = [name for name in bench.__all__ if name not in text and name != "__version__"]
    assert missing == []
