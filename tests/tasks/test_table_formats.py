"""Rows of every format, in every layout, and every mistake that a file may have."""

import gzip
import json

import pandas
import pytest
from made_tables import as_lines, load, rows, task, write

from bench.base.errors import DataError, SuiteError, UnknownNameError
from bench.tasks.data import load_data

CSV = 'text,label\n"good, really",yes\nbad,no\n'
EXPECTED = [("good, really", 1), ("bad", 0)]
ENTRIES = [{"text": "good, really", "label": "yes"}, {"text": "bad", "label": "no"}]


def parquet(folder, name="train.parquet", entries=ENTRIES):
    path = write(folder, name, b"")
    pandas.DataFrame(entries).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", CSV),
        ("train.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("train.tsv", "text\tlabel\ngood, really\tyes\nbad\tno\n"),
        ("train.jsonl", as_lines(*ENTRIES)),
        ("train.jsonl.gz", gzip.compress(as_lines(*ENTRIES).encode(), mtime=0)),
        ("train.json", json.dumps(ENTRIES)),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_each_format_is_read_by_its_ending(tmp_path, name, content):
    write(tmp_path, name, content)
    data = load(tmp_path)
    assert rows(data) == EXPECTED
    assert [example.uid for example in data.splits["train"]] == ["train-0", "train-1"]
    assert data.origin == f"local files {name}"


def test_parquet_is_read_with_the_class_names_that_datasets_writes(tmp_path):
    import datasets

    parquet(tmp_path)
    assert rows(load(tmp_path)) == EXPECTED
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["yes", "no"])})
    table = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    datasets.disable_progress_bars()
    table.to_parquet(str(tmp_path / "train.parquet"))
    assert rows(load(tmp_path)) == [("a", 1), ("b", 0)]
    assert rows(load(tmp_path, labels=())) == [("a", 0), ("b", 1)]


def test_an_index_of_a_parquet_file_is_not_taken_for_a_class_that_is_called_by_a_number(tmp_path):
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["1", "2"])})
    table = datasets.Dataset.from_dict({"text": ["one star", "two stars"], "label": [0, 1]}, features=features)
    datasets.disable_progress_bars()
    table.to_parquet(str(tmp_path / "train.parquet"))
    assert rows(load(tmp_path, labels=("1", "2"))) == [("one star", 0), ("two stars", 1)]


def test_a_number_that_is_no_class_is_not_read_as_an_index_where_classes_are_called_by_numbers(tmp_path):
    write(tmp_path, "train.csv", "text,label\none star,1\ntwo stars,2\n")
    stars = {"labels": ("1", "2", "3")}
    assert rows(load(tmp_path, **stars)) == [("one star", 0), ("two stars", 1)]
    write(tmp_path, "train.csv", "text,label\none star,1\nno star,0\n")
    with pytest.raises(DataError, match=r"train.csv:3: unknown label '0'"):
        load(tmp_path, **stars)


def test_a_copy_of_the_hubs_repository_is_read_where_no_other_file_is(tmp_path):
    parquet(tmp_path, "some/reviews/plain/train-00000-of-00001.parquet")
    data = load(tmp_path, hub={"id": "some/reviews", "config": "plain"}, files={"train": "absent"})
    assert rows(data) == EXPECTED
    assert data.origin == "local files some/reviews/plain/train-00000-of-00001.parquet"


@pytest.mark.parametrize("files", ["parts", "parts/*.csv", ["nothing", "parts/*"]])
def test_several_files_are_one_split_in_the_order_of_their_names(tmp_path, files):
    write(tmp_path, "parts/b.csv", "text,label\nlast,no\n")
    write(tmp_path, "parts/a.csv", "text,label\nfirst,yes\n")
    assert rows(load(tmp_path, files={"train": files})) == [("first", 1), ("last", 0)]
    write(tmp_path, "parts/c.csv", "label,text\nno,x\n")
    with pytest.raises(DataError, match=r"c.csv: its columns are label, text, but those of .*a.csv are text, label"):
        load(tmp_path, files={"train": files})


def test_a_file_without_a_header_is_read_by_the_stated_names_and_one_with_a_header_too(tmp_path):
    write(tmp_path, "messages", 'ham\tsee you\nspam\twin "now"\n')
    write(tmp_path, "test.tsv", "text\nhello\n")
    given = {"delimiter": "\t", "quotes": False, "header": ["label", "text"]}
    changes = {"evaluate": ("test",)}
    data = load(tmp_path, labels=(), files={"train": "messages", "test": "test"}, changes=changes, **given)
    assert rows(data) == [("see you", 0), ('win "now"', 1)]
    assert rows(data, "test") == [("hello", None)]


def test_lines_inside_quotes_belong_to_one_row_and_blank_lines_to_none(tmp_path):
    write(tmp_path, "train.csv", 'text,label\n"two\nlines",yes\n\nbad,no\nx,maybe\n')
    with pytest.raises(DataError, match=r"train.csv:6: unknown label 'maybe'. Expected one of no \(0\), yes \(1\)"):
        load(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    write(tmp_path, "train.csv", "text,label\ncaf\u00e9,yes\nx,no\n", encoding=encoding)
    assert rows(load(tmp_path))[0] == ("caf\u00e9", 1)


def test_another_encoding_is_stated(tmp_path):
    write(tmp_path, "train.csv", "text,label\ncaf\u00e9,yes\nx,no\n", encoding="latin-1")
    assert rows(load(tmp_path, encoding="latin-1"))[0] == ("caf\u00e9", 1)
    with pytest.raises(DataError, match="no encoding named 'latin-99'"):
        load(tmp_path, encoding="latin-99")


DEEP = "data[].paragraphs[].qas[]"
SQUAD = {
    "data": [
        {
            "title": "One",
            "paragraphs": [
                {"context": "Ada wrote it.", "qas": [{"id": "q1", "question": "who", "answers": []}]},
                {
                    "context": "It was Bob, in May.",
                    "qas": [
                        {"id": "q2", "question": "who", "answers": [{"text": "Bob", "answer_start": 7}]},
                        {"id": "q3", "question": "when", "answers": [{"text": "May", "answer_start": 15}]},
                    ],
                },
            ],
        }
    ]
}


def test_rows_deep_inside_json_know_what_they_lie_in(tmp_path):
    write(tmp_path, "train.json", json.dumps(SQUAD))
    columns = {
        "uid": f"{DEEP}.id",
        "text": f"{DEEP}.question",
        "pair": "data[].paragraphs[].context",
        "answers": f"{DEEP}.answers",
        "group": "data[].title",
    }
    examples = load(tmp_path, kind="span_qa", rows=DEEP, columns=columns, checked=False).splits["train"]
    assert [(example.uid, example.pair, example.group) for example in examples] == [
        ("q1", "Ada wrote it.", "One"),
        ("q2", "It was Bob, in May.", "One"),
        ("q3", "It was Bob, in May.", "One"),
    ]
    assert [example.answers for example in examples] == [(("", 0),), (("Bob", 7),), (("May", 15),)]
    with pytest.raises(
        DataError, match=r"train.json, data\[0\].paragraphs\[0\].qas\[0\]: no column .*.quest. Found: .*"
    ):
        load(tmp_path, kind="span_qa", rows=DEEP, columns={**columns, "text": f"{DEEP}.quest"})
    with pytest.raises(DataError, match=r"data\[0\]: no 'sections' on the path .* Found: title, paragraphs"):
        load(tmp_path, kind="span_qa", rows="data[].sections[]", columns=columns)
    with pytest.raises(DataError, match=r"found an object, expected a list of objects.* Lists in it: data\[\]"):
        load(tmp_path, kind="span_qa", columns=columns)


def test_rows_may_lie_inside_each_json_line_and_templates_join_columns(tmp_path):
    entry = {"id": 7, "passage": {"text": "P", "asked": [{"q": "a", "right": [1]}, {"q": "b", "right": [0]}]}}
    write(tmp_path, "train.jsonl", as_lines(entry))
    columns = {"text": "{id}: {passage.asked[].q}", "pair": "passage.text", "label": "passage.asked[].right"}
    examples = load(tmp_path, rows="passage.asked[]", columns=columns, checked=False).splits["train"]
    assert [(example.text, example.pair, example.label) for example in examples] == [
        ("7: a", "P", (1,)),
        ("7: b", "P", (0,)),
    ]


def test_line_by_line_translations_are_pairs_of_text_and_target(tmp_path):
    write(tmp_path, "a.de", "eins\nzwei\n")
    write(tmp_path, "a.en.gz", gzip.compress(b"one\ntwo\n"))
    given = {"format": "text", "files": {"train": "a.de"}, "beside": {"target": {"train": "a.en"}}}
    data = load(tmp_path, kind="translation", columns={"text": "text", "target": "target"}, **given)
    assert [(example.text, example.target) for example in data.splits["train"]] == [("eins", "one"), ("zwei", "two")]


MISTAKES = {
    "a column by another name": (
        "train.csv",
        "Text,labl\na,yes\n",
        "train.csv: no column text. Found: Text, labl. Did you mean 'Text'",
    ),
    "another delimiter": ("train.csv", "text;label\na;yes\n", "The only column holds a semicolon: set delimiter"),
    "tabs in CSV": ("train.csv", "text\tlabel\na\tyes\n", r'set delimiter = "\\t" \(--format tsv\)'),
    "an Excel workbook": (
        "train.csv",
        b"PK\x03\x04\0\0",
        "train.csv: not text, but a ZIP archive or an Excel workbook",
    ),
    "Parquet as text": ("train.csv", b"PAR1\0\0", "train.csv: not text, but a Parquet file"),
    "a carriage return": ("train.csv", "text,label\na\rb,yes\n", "train.csv:2: a carriage return inside a line"),
    "JSON that is a number": (
        "train.json",
        "3",
        "found a number, expected a list of objects. It holds no list of objects",
    ),
    "JSON that is nothing": ("train.json", "null", "found null, expected a list of objects"),
    "JSON by columns": (
        "train.json",
        '{"text": ["a"], "label": ["yes"]}',
        "It holds no list of objects: write one object",
    ),
    "JSON as lines": (
        "train.jsonl",
        json.dumps([{"text": "a", "label": "yes"}], indent=1),
        'train.jsonl:1: not valid JSON: .*one JSON document, set format = "json"',
    ),
    "too many fields": (
        "train.csv",
        "text,label\na,yes\nb, c,no\n",
        "train.csv:3: found 3 comma-separated fields, expected 2; quote texts that hold a comma",
    ),
    "too few fields": (
        "train.csv",
        "text,label\na,yes\nb\n",
        "train.csv:3: found 1 comma-separated field, expected 2",
    ),
    "a column twice": ("train.csv", "text,text\na,b\n", "two columns are called text"),
    "a header inside": ("train.csv", "text,label\na,yes\ntext,label\nb,no\n", "train.csv:3: the header again"),
    "an open quote": (
        "train.csv",
        'text,label\na,yes\n"b,no\nc,yes\n',
        "train.csv:3: a quote is wrong and swallows .* lines: .*set quotes = false",
    ),
    "a quote in the middle": ("train.tsv", 'text\tlabel\n"good" film\tyes\n', "train.tsv:2: a quote is wrong"),
    "quotes that swallow rows": (
        "train.csv",
        "text,label\n" + '"a,yes\n' + "b,no\n" * 40 + 'c",yes\n',
        "train.csv:2: a quote swallows 40 lines that are rows themselves",
    ),
    "NUL bytes": ("train.csv", "text,label\na,yes\nb\0,no\n", "train.csv:3: a NUL byte"),
    "another encoding": (
        "train.csv",
        "text,label\na,yes\ncaf\u00e9,no\n".encode("latin-1"),
        'train.csv:3: cannot be read as UTF-8 text: byte 0xe9 at offset 20. .*encoding = "latin-1"',
    ),
    "two encodings": (
        "train.csv",
        "text,label\ncaf\u00e9,yes\n".encode() + "caf\u00e9,no\n".encode("latin-1"),
        "train.csv:3: .*The file mixes two encodings",
    ),
    "an unknown label": ("train.csv", "text,label\na,yse\n", "train.csv:2: unknown label 'yse'.* Did you mean 'yes'"),
    "no rows": ("train.csv", "text,label\n", "train.csv: no rows"),
    "nothing": ("train.csv", "", "train.csv: no rows"),
    "broken JSON": ("train.jsonl", '{"text": "a", "label": "yes"}\n{"text"\n', "train.jsonl:2: not valid JSON"),
    "lines as JSON": ("train.json", as_lines(*ENTRIES), 'not valid JSON: Extra data.* set format = "jsonl"'),
    "a number as text": (
        "train.jsonl",
        as_lines({"text": 5, "label": "yes"}),
        "train.jsonl:1: text is 5; expected a string",
    ),
    "no archive": ("train.csv.gz", b"plain", "train.csv.gz: not a gzip file, though its name ends in .gz"),
    "half an archive": (
        "train.csv.gz",
        gzip.compress(b"text,label\n" * 99)[:-12],
        "train.csv.gz: a damaged gzip file: Compressed file ended before .*Download or make it again",
    ),
    "no Parquet": ("train.parquet", b"plain", "train.parquet: cannot be read as Parquet"),
}


def test_lines_may_end_with_carriage_returns_alone(tmp_path):
    write(tmp_path, "train.csv", "text,label\ra,yes\rb,no\r")
    assert rows(load(tmp_path)) == [("a", 1), ("b", 0)]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_line_and_what_to_do(tmp_path, mistake):
    name, content, told = MISTAKES[mistake]
    write(tmp_path, name, content)
    with pytest.raises(DataError, match=told):
        load(tmp_path)


def test_ids_that_repeat_are_refused(tmp_path):
    write(tmp_path, "train.csv", "id,text,label\n1,a,yes\n2,b,no\n1,c,no\n")
    columns = {"uid": "id", "text": "text", "label": "label"}
    with pytest.raises(DataError, match=r"train.csv:4: the id '1' is also that of .*train.csv:2"):
        load(tmp_path, columns=columns)
    write(tmp_path, "train.csv", "id,text,label\n1,a,yes\n2,b,no\n")
    assert [example.uid for example in load(tmp_path, columns=columns).splits["train"]] == ["1", "2"]


def test_a_score_out_of_range_is_refused(tmp_path):
    write(tmp_path, "train.csv", "text,label\na,1.5\nb,-1\nc,7\n")
    with pytest.raises(DataError, match=r"train.csv:4: unknown score '7'. Expected a number from 0.0 to 5.0"):
        load(tmp_path, kind="regression", scores=[0, 5])
    assert rows(load(tmp_path, kind="regression"))[:2] == [("a", 1.5), ("b", None)]


def test_what_is_missing_is_asked_for(tmp_path):
    write(tmp_path, "train.csv", CSV)
    with pytest.raises(DataError, match=r"which is the text\? Add text = \"COLUMN\" \(columns: text, label\)"):
        load(tmp_path, columns={"label": "label"})
    with pytest.raises(DataError, match="columns: a classification task needs label, found text"):
        load(tmp_path, columns={"text": "text"})
    with pytest.raises(DataError, match="is read from local files only"):
        load_data(task(data={"files": {"train": "train"}, "columns": {"text": "a", "label": "b"}}), data_dir=None)
    with pytest.raises(UnknownNameError, match=r"no transform named 'mark-spam'. Did you mean 'mark-span'"):
        load(tmp_path, transform="mark-spam")
    with pytest.raises(SuiteError, match=r"no key named 'spam'. Did you mean 'spans'"):
        load(tmp_path, transform={"name": "mark-span", "spam": []})


def test_data_without_a_column_that_the_kind_needs_are_refused(tmp_path):
    write(tmp_path, "train.csv", CSV)
    with pytest.raises(
        DataError, match=r"tasks.t.data.columns: a span_qa task needs pair and answers, found text, label"
    ):
        load(tmp_path, kind="span_qa")


@pytest.mark.parametrize(
    ("score", "advice"),
    [("1,5", "Expected a finite number, with a point before the decimals"), ("good", "the task is a classification")],
)
def test_a_score_that_is_no_number_is_told_with_what_it_may_be(tmp_path, score, advice):
    write(tmp_path, "train.tsv", f"text\tlabel\na\t{score}\n")
    with pytest.raises(DataError, match=f"train.tsv:2: unknown score '{score}'.*{advice}"):
        load(tmp_path, kind="regression")
