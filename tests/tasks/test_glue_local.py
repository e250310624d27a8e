from __future__ import annotations

import json

import pytest

from bench.base.errors import DataError, UnknownNameError
from bench.spec.suite import load_suite
from bench.tasks.sources.table import source_of

GLUE = load_suite("glue")
RTE = "index\tsentence1\tsentence2\tlabel\n"


def load(root, name, *, splits=("validation",), **changes):
    task = GLUE.task(name).model_copy(update={"train": splits[0], "evaluate": splits, **changes})
    return source_of(task, where="here").load(task, data_dir=root)


def write(root, path, text, *, encoding="utf-8"):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text.encode(encoding))


def rows(data, split="validation"):
    return [(example.text, example.pair, example.label) for example in data.splits[split]]


def test_quotes_are_ordinary_characters(tmp_path):
    write(tmp_path, "glue/RTE/dev.tsv", RTE + '0\t"Open only\tA "b" c\tentailment\n1\tplain\t"\tnot_entailment\n')
    assert rows(load(tmp_path, "rte")) == [('"Open only', 'A "b" c', 0), ("plain", '"', 1)]


def test_a_byte_order_mark_and_windows_line_ends_are_not_part_of_the_text(tmp_path):
    head = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
    write(tmp_path, "glue/MRPC/dev.tsv", head + "1\t7\t8\tOne.\tTwo.\r\n", encoding="utf-8-sig")
    assert rows(load(tmp_path, "mrpc")) == [("One.", "Two.", 1)]


def test_unusual_line_separators_stay_inside_their_row(tmp_path):
    write(tmp_path, "RTE/dev.tsv", RTE + "0\tone\u2028two\x85three\tb\tentailment\n")
    assert rows(load(tmp_path, "rte")) == [("one\u2028two\x85three", "b", 0)]


def test_cola_has_no_header_but_its_test_file_has(tmp_path):
    write(tmp_path, "CoLA/dev.tsv", "gj04\t1\t\tIt sailed.\ngj04\t0\t*\tSailed it.")
    write(tmp_path, "CoLA/test.tsv", "index\tsentence\n0\tWho knows?\n")
    data = load(tmp_path, "cola", splits=("validation", "test"))
    assert rows(data) == [("It sailed.", None, 1), ("Sailed it.", None, 0)]
    assert rows(data, "test") == [("Who knows?", None, None)]


@pytest.mark.parametrize(
    ("name", "path", "text", "expected"),
    [
        ("sst2", "SST-2/dev.tsv", "sentence\tlabel\nfine . \t1\n", ("fine . ", None, 1)),
        ("qqp", "QQP/dev.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t0\n", ("a", "b", 0)),
        ("stsb", "STS-B/dev.tsv", "index\tsentence1\tsentence2\tscore\n0\ta\tb\t3.800\n", ("a", "b", 3.8)),
        ("qnli", "QNLI/dev.tsv", "index\tquestion\tsentence\tlabel\n0\ta\tb\tnot_entailment\n", ("a", "b", 1)),
        ("wnli", "WNLI/dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n", ("a", "b", 1)),
    ],
)
def test_each_data_sets_official_columns_are_read(tmp_path, name, path, text, expected):
    write(tmp_path, path, text)
    assert rows(load(tmp_path, name)) == [expected]


def test_mnli_has_two_validation_files_and_reads_the_gold_label(tmp_path):
    head = "index\tsentence1\tsentence2\tlabel1\tgold_label\n"
    write(tmp_path, "MNLI/dev_matched.tsv", head + "0\ta\tb\tneutral\tcontradiction\n")
    write(tmp_path, "MNLI/dev_mismatched.tsv", head + "0\tc\td\tneutral\tentailment\n")
    data = load(tmp_path, "mnli", splits=("validation_matched", "validation_mismatched"))
    assert rows(data, "validation_matched") == [("a", "b", 2)]
    assert rows(data, "validation_mismatched") == [("c", "d", 0)]
    assert data.origin == "local files MNLI/dev_matched.tsv, MNLI/dev_mismatched.tsv"


@pytest.mark.parametrize(
    "entry",
    [
        {"sentence1": "a", "sentence2": "b", "label": "not_entailment"},
        {"premise": "a", "hypothesis": "b", "label": 1, "idx": 3},
    ],
)
def test_json_lines_are_read_with_labels_as_names_or_numbers(tmp_path, entry):
    write(tmp_path, "glue/RTE/dev.jsonl", json.dumps(entry) + "\n")
    assert rows(load(tmp_path, "rte")) == [("a", "b", 1)]


@pytest.mark.parametrize("folder", ["glue/AX", "diagnostic", "superglue/AX-b"])
def test_the_diagnostic_set_is_found_in_each_of_its_places(tmp_path, folder):
    write(tmp_path, f"{folder}/diagnostic-full.tsv", "Logic\tPremise\tHypothesis\tLabel\r\n\ta\tb\tneutral\r\n")
    assert rows(load(tmp_path, "ax", splits=("test",), trained_on="mnli"), "test") == [("a", "b", 1)]


def test_labels_follow_the_order_of_the_task_not_of_the_hub(tmp_path):
    write(tmp_path, "RTE/dev.jsonl", '{"sentence1": "a", "sentence2": "b", "label": 0}')
    data = load(tmp_path, "rte", labels=("not_entailment", "entailment"))
    assert rows(data) == [("a", "b", 1)]


def test_a_label_of_minus_one_is_hidden(tmp_path):
    write(tmp_path, "RTE/dev.jsonl", '{"sentence1": "a", "sentence2": "b", "label": -1}')
    assert rows(load(tmp_path, "rte")) == [("a", "b", None)]


def test_a_missing_file_is_refused_with_every_path_looked_for(tmp_path):
    with pytest.raises(DataError, match="no file with the 'validation' split") as caught:
        load(tmp_path, "rte")
    said = str(caught.value).splitlines()
    assert said[0] == f"no file with the 'validation' split of glue/rte in {tmp_path}. Expected one of"
    assert said[1].startswith("  dev or validation + .tsv, .jsonl, ")
    assert "  nyu-mll/glue/rte/validation-*.parquet" in said
    assert said[-1] == "in one of these folders of it: glue/RTE, RTE"


def test_a_folder_of_data_that_is_not_there_is_all_that_is_said(tmp_path):
    with pytest.raises(DataError) as caught:
        load(tmp_path / "nodir", "rte")
    assert str(caught.value).endswith(f"there is no folder {tmp_path / 'nodir'}")


@pytest.mark.parametrize(
    ("name", "path", "text", "problem"),
    [
        (
            "rte",
            "dev.tsv",
            "index\tsentence1\tlabel\n0\ta\t1\n",
            r"dev.tsv: no column sentence2 or hypothesis. Found: index",
        ),
        ("rte", "dev.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n", "dev.tsv: no column label"),
        (
            "rte",
            "dev.tsv",
            RTE + "0\ta\tb\t0\n1\ta\tb\tmaybe\n",
            "dev.tsv:3: unknown label 'maybe'.*entailment \\(0\\)",
        ),
        ("rte", "dev.tsv", RTE + "0\ta\tb\t2\n", "dev.tsv:2: unknown label '2'"),
        ("rte", "dev.tsv", RTE + "0\ta\tb\t\n", "dev.tsv:2: the row has no label"),
        ("rte", "dev.tsv", RTE + "0\ta\tb\t0\n1\ta\tb\n", "dev.tsv:3: found 3 tab-separated fields, expected 4"),
        ("rte", "dev.tsv", RTE + "0\ta\tb\t0\n\n1\ta\tb\t0\n", "dev.tsv:3: found 1 tab-separated field,"),
        ("rte", "dev.tsv", RTE, "dev.tsv: no rows"),
        ("rte", "dev.tsv", "", "dev.tsv: no rows"),
        ("rte", "dev.jsonl", "", "dev.jsonl: no rows"),
        ("rte", "dev.jsonl", '{"sentence1": "a"', "dev.jsonl:1: not valid JSON"),
        ("rte", "dev.jsonl", "[1]", "dev.jsonl:1: found a list, expected a JSON object"),
        ("rte", "dev.jsonl", '{"sentence1": "a", "label": 0}', "dev.jsonl:1: no column sentence2"),
        (
            "rte",
            "dev.jsonl",
            '{"sentence1": "a", "sentence2": null, "label": 0}',
            "sentence2 is None; expected a string",
        ),
        (
            "rte",
            "dev.jsonl",
            '{"sentence1": "a", "sentence2": "b", "label": true}',
            "dev.jsonl:1: unknown label True. Expected one of entailment",
        ),
        ("stsb", "dev.tsv", "sentence1\tsentence2\tscore\na\tb\t5.5\n", "dev.tsv:2: unknown score '5.5'"),
        ("stsb", "dev.tsv", "sentence1\tsentence2\tscore\na\tb\thigh\n", "dev.tsv:2: unknown score 'high'"),
    ],
)
def test_a_malformed_file_is_refused_with_file_line_and_what_was_expected(tmp_path, name, path, text, problem):
    write(tmp_path, f"glue/{'RTE' if name == 'rte' else 'STS-B'}/{path}", text)
    with pytest.raises(DataError, match=problem):
        load(tmp_path, name)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    write(tmp_path, "RTE/dev.tsv", RTE + "0\tcaf\u00e9\tb\t0\n", encoding="latin-1")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        load(tmp_path, "rte")


def test_the_broken_lines_of_qqp_are_left_out_and_counted(tmp_path):
    head, good = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n", "0\t1\t2\ta\tb\t1\n"
    write(tmp_path, "QQP/train.tsv", head + good * 1500 + "7\t8\tcut off\n" + good)
    data = load(tmp_path, "qqp", splits=("train",))
    assert len(data.splits["train"]) == 1501
    assert data.notes == ("1 malformed lines of QQP/train.tsv left out, as in the hub's version",)


def test_a_qqp_file_that_is_broken_throughout_is_refused(tmp_path):
    head = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    write(tmp_path, "QQP/train.tsv", head + "0\t1\t2\ta\tb\t1\n" * 10 + "7\t8\tcut off\n")
    with pytest.raises(DataError, match="1 of 12 lines do not have 6 fields"):
        load(tmp_path, "qqp", splits=("train",))


def test_a_task_that_does_not_fit_the_data_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="found yes, no; rte has entailment, not_entailment"):
        load(tmp_path, "rte", labels=("yes", "no"))
    with pytest.raises(DataError, match="mnli has no split 'validation', only train, validation_matched"):
        load(tmp_path, "mnli")
    data = GLUE.task("rte").data.model_copy(update={"subset": "rtee"})
    with pytest.raises(UnknownNameError, match=r"here: no data set named 'glue/rtee'. Did you mean 'glue/rte'"):
        load(tmp_path, "rte", data=data)
