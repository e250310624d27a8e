"""A suite made of one's own files: which columns are taken, what is said, and what its file reads back as."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json

import pytest

import bench
from bench.base.errors import BenchError, DataError, SuiteError, UnknownNameError
from bench.library.glimpse import Glimpse, shortened
from bench.library.guessing import are_scores, guess, lacks_header
from bench.library.own_data import draft
from bench.library.own_files import Files, name_of
from bench.library.running import plan_run, standing_for
from bench.library.suite_file import suite_text, write_suite
from bench.plan.cell import described
from bench.spec.suite import load_suite
from bench.tasks.data import load_data
from bench.tasks.kinds.kind import KINDS

INTENTS = [
    ("where is my card", "card"),
    ("my card is late", "card"),
    ("I lost my card", "card"),
    ("which rate do I get", "rate"),
    ("is the rate good", "rate"),
    ("rates, please", "rate"),
]


def table(path, rows, *, header=("message", "intent"), delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header, *rows] if header else rows)
    return path


def glimpse_of(rows, header):
    return Glimpse(name="x.csv", columns=header, rows=tuple(dict(zip(header, row, strict=True)) for row in rows))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data below the current one."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "support"
    made.mkdir()
    table(made / "train.csv", INTENTS * 4)
    table(made / "test.csv", INTENTS)
    return made


def test_columns_with_usual_names_are_taken_and_it_is_said(folder):
    own = draft(Files.of("support/train.csv", "support/test.csv", None), {}, reading={})
    (task,) = own.suite.tasks
    assert task.data.columns == {"text": "message", "label": "intent"}
    assert (task.kind, task.metrics, task.evaluate) == ("classification", ("accuracy",), ("validation",))
    assert [line.split(":")[0] for line in own.taken] == [
        "column 'message' is taken as --text",
        "column 'intent' is taken as --label",
    ]


def test_a_suite_is_called_as_its_file_or_as_the_folder_of_a_file_called_train(folder):
    assert name_of(folder / "train.csv") == "support"
    assert name_of(folder / "train_v2.jsonl.gz") == "support"
    assert name_of(folder / "My Intents.csv") == "my-intents"


def test_files_are_kept_relative_to_the_folder_that_holds_all_of_them(folder):
    (folder / "more").mkdir()
    table(folder / "more" / "dev.csv", INTENTS)
    suite = bench.own_suite("support/train.csv", validation=folder / "more" / "dev.csv")
    assert suite.data_dir == "support"
    assert suite.tasks[0].data.files == {"train": "train.csv", "validation": "more/dev.csv"}
    above = bench.own_suite("support/train.csv", data_dir=".")
    assert above.tasks[0].data.files == {"train": "support/train.csv"}


def test_without_a_file_to_evaluate_on_a_part_is_held_out_by_a_stated_seed(folder):
    own = draft(Files.of("support/train.csv", None, None), {}, reading={})
    cut = own.suite.tasks[0].data.cut
    assert (cut.of, cut.seed, cut.by, cut.shares) == ("train", 0, "message", {"validation": 0.2})
    assert any("20% of train.csv is held out" in line for line in own.taken)
    only_test = bench.own_suite("support/train.csv", test="support/test.csv").tasks[0]
    assert (only_test.evaluate, only_test.data.cut) == (("test",), None)


@pytest.mark.parametrize(
    ("columns", "kind", "metrics"),
    [
        ({"text": "a", "pair": "b", "label": "c"}, "classification", ("accuracy",)),
        ({"text": "a", "pair": "b", "score": "c"}, "regression", ("pearson", "spearman")),
        ({"text": "a", "pair": "b", "answer": "c"}, "span_qa", ("exact_match", "f1")),
        ({"text": "a", "target": "c"}, "translation", ("bleu",)),
    ],
)
def test_what_is_predicted_decides_the_kind_and_its_scores(tmp_path, columns, kind, metrics):
    path = table(tmp_path / "own.csv", [("x", "y", "1")], header=("a", "b", "c"))
    (task,) = bench.own_suite(path, **columns).tasks
    assert (task.kind, task.metrics) == (kind, metrics)
    roles = {"score": "label", "answer": "answers"}
    assert task.data.columns == {roles.get(option, option): column for option, column in columns.items()}


def test_a_column_that_is_missing_is_named_with_the_nearest_and_with_what_is_there(folder):
    with pytest.raises(UnknownNameError) as caught:
        bench.own_suite("support/train.csv", text="message", label="intend")
    assert str(caught.value).splitlines() == [
        "--label: train.csv: no column named 'intend'. Did you mean 'intent'? The file has",
        "  message  where is my card",
        "  intent   card",
    ]


def test_columns_that_nobody_can_guess_are_asked_for_with_samples(tmp_path):
    path = table(tmp_path / "own.csv", [("hello there", "b")], header=("one", "two"))
    with pytest.raises(SuiteError, match=r"--text: which column of own.csv is the text\? It has\n  one  hello there\n"):
        bench.own_suite(path)
    with pytest.raises(SuiteError, match=r"--label: which column of own.csv is the class"):
        bench.own_suite(path, text="one")


def test_options_that_contradict_each_other_are_refused(folder):
    with pytest.raises(SuiteError, match="--label with --score: a task predicts one of them"):
        bench.own_suite("support/train.csv", label="intent", score="message")
    with pytest.raises(SuiteError, match=r"--holdout 0\.5 with --validation"):
        bench.own_suite("support/train.csv", validation="support/test.csv", holdout=0.5)
    with pytest.raises(DataError, match=r"--data support/trian.csv: no such file. Did you mean support/train.csv\?"):
        bench.own_suite("support/trian.csv")
    with pytest.raises(DataError, match="not in the folder support/more that --data-dir names"):
        bench.own_suite("support/train.csv", data_dir="support/more")
    with pytest.raises(BenchError, match="expected a share above 0"):
        bench.own_suite("support/train.csv", holdout=1.5)


def test_a_file_without_a_header_has_counted_columns(tmp_path):
    path = table(tmp_path / "own.csv", [(label, text) for text, label in INTENTS], header=None)
    with pytest.raises(UnknownNameError, match="Its first line seems to be a row, not a header: give --no-header"):
        bench.own_suite(path, text="text")
    data = bench.own_suite(path, text="2", label="1", header=False).tasks[0].data
    assert data.header == ("column1", "column2")
    assert data.columns == {"text": "column2", "label": "column1"}


@pytest.mark.parametrize("ending", ["jsonl", "json", "jsonl.gz", "parquet", "tsv"])
def test_every_format_shows_its_columns(tmp_path, ending):
    path, rows = tmp_path / f"own.{ending}", [{"text": text, "label": label} for text, label in INTENTS]
    if ending == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif ending == "tsv":
        table(path, INTENTS, header=("text", "label"), delimiter="\t")
    else:
        text = json.dumps(rows) if ending == "json" else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    assert bench.own_suite(path).tasks[0].data.columns == {"text": "text", "label": "label"}


def test_usual_names_of_pairs_questions_and_scores_are_known():
    def found(**values):
        guessed = guess(glimpse_of([tuple(values.values())] * 2, tuple(values)))
        return {option: each.column for option, each in guessed.items()}

    assert found(idx="1", premise="a", hypothesis="b", label="0") == {
        "text": "premise",
        "pair": "hypothesis",
        "label": "label",
    }
    assert found(Sentence1="a", Sentence2="b", score="2.5") == {
        "text": "Sentence1",
        "pair": "Sentence2",
        "score": "score",
    }
    assert found(question="q", context="c", answers="a") == {"text": "question", "pair": "context", "answer": "answers"}
    assert found(Text="a", Sentiment="b") == {"text": "Text", "label": "Sentiment"}
    assert found(one="a", two="b") == {}


def test_values_tell_text_and_label_apart_if_names_do_not():
    seen = glimpse_of([(label, text) for text, label in INTENTS], ("v1", "v2"))
    assert guess(seen) == {}
    guessed = guess(seen, by_values=True)
    assert {option: each.column for option, each in guessed.items()} == {"text": "v2", "label": "v1"}
    assert guessed["label"].why == "it has 2 different values in 6 rows"


def test_scores_are_numbers_with_decimals():
    assert are_scores(["1", "2.5"])
    assert not are_scores(["1", "2"])
    assert not are_scores(["1.5", "good"])
    assert not are_scores([])


def test_a_first_line_that_is_a_row_is_noticed():
    assert lacks_header(glimpse_of([("ham", "two"), ("spam", "three")], ("ham", "hello")))
    assert not lacks_header(glimpse_of([("ham", "two")], ("label", "text")))


def test_long_values_are_shortened_in_one_line():
    assert shortened("a  b\nc", 10) == "a b c"
    assert shortened("a very long sentence", 10) == "a very..."


@pytest.mark.parametrize("place", ["my.toml", "support/my.toml", "other/my.toml"])
def test_a_saved_suite_reads_back_as_the_very_same_cells(folder, place):
    (folder.parent / "other").mkdir()
    own = draft(Files.of("support/train.csv", "support/test.csv", None), {"label": "intent"}, reading={})
    options = {
        "recipes": ["int8", "magnitude-pruning"],
        "set": {"magnitude-pruning.sparsity": [0.5, 0.9], "training.epochs": 1, "support.train_examples": 8},
        "seeds": [3],
    }
    path = folder.parent / place
    text = suite_text(standing_for(own.suite, "demo-bert", **options), folder=path.parent, comments=own.comments)
    write_suite(path, text)
    places = {"results": "results", "cache": folder.parent / "cache"}
    first, second = plan_run(own.suite, "demo-bert", **options, **places), plan_run(place, **places)
    assert [cell.key for cell in first.cells] == [cell.key for cell in second.cells]
    assert [cell.recipe.name for cell in second.cells][1:] == [
        "magnitude-pruning[sparsity=0.5]",
        "magnitude-pruning[sparsity=0.9]",
    ]
    assert first.suite.setting_id == second.suite.setting_id


def test_a_suites_file_keeps_every_value(tmp_path):
    suite = load_suite("study-tickets")
    path = tmp_path / "copy.toml"
    write_suite(path, suite_text(suite, folder=tmp_path))
    assert load_suite(str(path)) == suite


def test_a_string_with_quotes_line_ends_and_control_characters_stands_in_the_file(tmp_path, folder):
    suite = bench.own_suite("support/train.csv").model_copy(update={"title": 'a "b"\n\\c\x7f\x01 é'})
    path = tmp_path / "copy.toml"
    write_suite(path, suite_text(suite, folder=tmp_path))
    assert load_suite(str(path)).title == suite.title


def test_a_suites_file_is_never_overwritten_by_another(tmp_path):
    path = tmp_path / "my.toml"
    write_suite(path, "a = 1\n")
    write_suite(path, "a = 1\n")
    with pytest.raises(SuiteError, match="exists already"):
        write_suite(path, "a = 2\n")
    with pytest.raises(SuiteError, match=r"must end in \.toml"):
        write_suite(tmp_path / "my.txt", "a = 1\n")


def test_the_folder_of_data_is_no_part_of_a_task(folder):
    there = bench.own_suite("support/train.csv")
    moved = folder.rename(folder.parent / "moved")
    here = bench.own_suite(moved / "train.csv", name="support")
    assert described(there.tasks[0]) == described(here.tasks[0])
    assert dataclasses.is_dataclass(Files)


def test_rows_deep_inside_json_are_found_in_squads_layout_and_at_a_stated_path(tmp_path):
    qa = {"id": "1", "question": "who?", "answers": [{"text": "Ann", "answer_start": 0}]}
    squad = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "Ann ran.", "qas": [qa]}]}]}
    (tmp_path / "own.json").write_text(json.dumps(squad), encoding="utf-8")
    own = draft(Files.of(tmp_path / "own.json", None, None, holdout=0.5), {}, reading={})
    data = own.suite.tasks[0].data
    assert own.suite.tasks[0].kind == "span_qa"
    assert (data.rows, data.cut.by) == ("data[].paragraphs[].qas[]", "data[].paragraphs[].context")
    assert data.columns["text"] == "data[].paragraphs[].qas[].question"
    assert data.columns["answers"] == "data[].paragraphs[].qas[].answers"
    assert own.taken[0] == "rows are taken from data[].paragraphs[].qas[], as in SQuAD"
    rows = {"items": [{"fields": {"text": "a", "label": "b"}}]}
    (tmp_path / "deep.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"Say where the rows are"):
        bench.own_suite(tmp_path / "deep.json")
    with pytest.raises(SuiteError, match=r"items\[\]\.fields"):
        bench.own_suite(tmp_path / "deep.json", rows="items[]")
    data = (
        bench.own_suite(
            tmp_path / "deep.json", rows="items[]", text="items[].fields.text", label="items[].fields.label"
        )
        .tasks[0]
        .data
    )
    assert data.columns["text"] == "items[].fields.text"


def test_a_column_may_be_a_text_with_columns_in_braces(folder):
    data = bench.own_suite("support/train.csv", text="{intent}: {message}", label="intent").tasks[0].data
    assert data.columns["text"] == "{intent}: {message}"
    with pytest.raises(UnknownNameError, match=r"no column named '\{intend\}: \{message\}'"):
        bench.own_suite("support/train.csv", text="{intend}: {message}", label="intent")


@pytest.mark.parametrize("name", KINDS.names())
def test_every_kind_of_bench_says_what_it_predicts_and_scores_by_usual_metrics_of_its_own(name):
    kind = KINDS.get(name)
    assert kind.says or not type(kind).__module__.startswith("bench.")
    for metric in kind.usual_metrics:
        assert kind.metric(metric)


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("a;b\nx;1,5\n", {"score": "b"}, 'expected 1; .* holds a semicolon: set delimiter = ";" \\(--delimiter ";"\\)'),
        (
            "a;b\nx;1\n",
            {},
            r"which column of own.csv is the text\? The only column holds a semicolon: .* It has\n  a;b",
        ),
        ("a;b\nx;1\n", {"text": "a"}, "no column named 'a'.* The only column holds a semicolon"),
        ("x y,b\nz x,b\n", {}, r"is the text\? Its first line seems to be a row, not a header: give --no-header"),
        ("x y,b\nz x,b\n", {"header": False}, r"is the text\? Count columns, as in --text 1\. It has\n  column1  x y"),
        ("text,label\na,x\n", {"text": "text", "label": "text"}, "--text and --label are both the column 'text'"),
        ("text,label\na,x\n", {"holdout": 1.5}, "--holdout 1.5: expected a share above 0 and below 1, such as 0.2"),
    ],
)
def test_mistakes_of_a_newcomer_are_told_with_what_to_do(tmp_path, content, options, told):
    (tmp_path / "own.csv").write_text(content, encoding="utf-8")
    with pytest.raises(BenchError, match=told):
        bench.own_suite(tmp_path / "own.csv", **options)


def test_a_name_of_the_hub_and_a_folder_without_data_are_told_apart_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"--data SetFit/sst2: no such file\. .* a data set of the hub goes into a suite"
    ):
        bench.own_suite("SetFit/sst2")
    (tmp_path / "own.csv").mkdir()
    with pytest.raises(DataError, match=r"own.csv: a folder without data; expected files that end in .tsv, "):
        bench.own_suite("own.csv")
    with pytest.raises(SuiteError, match=r"own.csv is no suite: .* For data of your own: `bench init own.csv`"):
        bench.check("own.csv")
    (tmp_path / "data.csv").write_text("text,label\na,x\nb,y\n", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"data.csv is no suite: .*: `bench run --data data.csv`"):
        bench.check("data.csv")
    (problem,) = bench.check(bench.own_suite("data.csv")).problems
    assert ".data.cut: no row is left for validation if 2 rows of train are cut by" in problem


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("retrieval", "--kind retrieval: it needs documents and judgements, which only a suite can name"),
        ("multiple_choice", r"--kind multiple_choice: it needs choices\. Name the column with --choice\."),
        ("span_qa", r"--kind span_qa: it needs pair and answers\. Name the column with --pair\."),
        ("open_qa", r"--kind open_qa: it needs answers\. Name the column with --answer\."),
    ],
)
def test_a_kind_says_which_columns_it_needs(tmp_path, kind, told):
    path = table(tmp_path / "own.csv", [("x", "1"), ("y", "2")], header=("text", "label"))
    with pytest.raises(SuiteError, match=told):
        bench.own_suite(path, kind=kind)


def test_a_kind_without_labels_takes_none(tmp_path):
    path = table(tmp_path / "own.csv", [("x", "a"), ("y", "b")], header=("text", "label"))
    (task,) = bench.own_suite(path, kind="language_modelling").tasks
    assert task.data.columns == {"text": "text"}


COPA = ("premise", "choice1", "choice2", "question", "label", "idx")
ALTERNATIVES = [
    ("My body cast a shadow.", "The sun rose.", "The grass was cut.", "cause", "0", "0"),
    ("I poured water.", "It broke.", "It filled.", "effect", "1", "1"),
]


def options_of(seen, **known):
    return {option: each.column for option, each in guess(seen, **known).items()}


def test_columns_of_candidates_are_known_by_their_names_and_what_is_read_beside_them():
    assert options_of(glimpse_of(ALTERNATIVES, COPA)) == {
        "text": "premise",
        "pair": "question",
        "choice": ("choice1", "choice2"),
        "label": "label",
    }
    swag = glimpse_of([("a b", ["c", "d"], 1)] * 2, ("ctx", "endings", "label"))
    assert options_of(swag) == {"text": "ctx", "choice": "endings", "label": "label"}
    exam = glimpse_of([("who?", "Ann", "Bob", "B")] * 2, ("question", "option_a", "option_b", "answer"))
    assert options_of(exam) == {"text": "question", "choice": ("option_a", "option_b"), "label": "answer"}
    spelled = glimpse_of([("who?", "['Ann', 'Bob']", "1")] * 2, ("question", "choices", "label"))
    assert "choice" not in options_of(spelled)
    assert options_of(glimpse_of(ALTERNATIVES, COPA), choices="none") == {"text": "question", "label": "label"}


def test_candidates_make_a_multiple_choice_task_that_reads_the_file(tmp_path):
    path = table(tmp_path / "train.csv", ALTERNATIVES * 5, header=COPA)
    own = draft(Files.of(path, path, None), {}, reading={})
    (task,) = own.suite.tasks
    assert (task.kind, task.metrics, task.labels) == ("multiple_choice", ("accuracy",), ())
    assert "columns 'choice1' and 'choice2' are taken as --choice: by their names" in own.taken
    assert "tasks.data" not in own.comments
    data = load_data(task, data_dir=tmp_path)
    first = data.splits["train"][0]
    assert (first.text, first.pair, first.choices) == (ALTERNATIVES[0][0], "cause", ALTERNATIVES[0][1:3])
    assert [example.label for example in data.splits["train"][:2]] == [0, 1]


def test_choices_that_are_called_by_letters_are_read_once_the_suite_says_which_is_which(tmp_path):
    path = table(tmp_path / "own.csv", [("who?", "Ann", "Bob", "B")] * 5, header=("question", "a", "b", "answer"))
    (task,) = bench.own_suite(path, text="question", choices=["a", "b"], label="answer", test=path).tasks
    with pytest.raises(DataError, match=r'unknown label \'B\'\. .* say which: label_names = \{ "B" = "0" \}\.'):
        load_data(task, data_dir=tmp_path)
    named = task.model_copy(update={"data": task.data.model_copy(update={"label_names": {"A": "0", "B": "1"}})})
    assert {example.label for example in load_data(named, data_dir=tmp_path).splits["test"]} == {1}


def test_candidates_can_be_named_in_columns_of_their_own_or_as_a_list(tmp_path):
    path = table(tmp_path / "own.csv", [("a", "x", "y", "1")] * 5, header=("premise", "first", "second", "right"))
    (task,) = bench.own_suite(path, choices=["first", "second"], label="right").tasks
    assert task.kind == "multiple_choice"
    assert task.data.columns == {"text": "premise", "choices": ("first", "second"), "label": "right"}
    (task,) = bench.own_suite(path, choices=["2", "3"], text="1", label="4", header=False).tasks
    assert task.data.columns["choices"] == ("column2", "column3")
    with pytest.raises(UnknownNameError, match=r"--choice: own.csv: no column named 'secnd'. Did you mean 'second'"):
        bench.own_suite(path, choices=["first", "secnd"], label="right")
    with pytest.raises(SuiteError, match=r"--label: which column of own.csv is the right choice, as its index from 0"):
        bench.own_suite(path, choices=["first", "second"])
    listed = tmp_path / "own.jsonl"
    listed.write_text(json.dumps({"sentence": "a", "ways": ["x", "y"], "label": 1}) + "\n", encoding="utf-8")
    (task,) = bench.own_suite(listed, choices="ways").tasks
    assert task.data.columns == {"text": "sentence", "choices": "ways", "label": "label"}


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"text": "premise"}, "classification"),
        ({"kind": "classification", "text": "premise"}, "classification"),
        ({"score": "idx", "text": "premise"}, "regression"),
        ({"label": "label"}, "multiple_choice"),
    ],
)
def test_candidates_are_not_taken_for_another_task_that_was_asked_for(tmp_path, options, kind):
    path = table(tmp_path / "own.csv", ALTERNATIVES, header=COPA)
    (task,) = bench.own_suite(path, **options).tasks
    assert task.kind == kind
    assert ("choices" in task.data.columns) == (kind == "multiple_choice")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            ["good", "bad"],
            r"is the text\? The rows at items\[\] are plain values without columns\. Write one object per row, such as "
            r'\{"text": \.\.\., "label": \.\.\.\}; in a task without labels, --text "items\[\]" takes the values as '
            r"texts\. It has\n  items\[\]  good$",
        ),
        (
            [["good", "yes"], ["bad", "no"]],
            r"The rows at items\[\] are lists, not objects\. Write a suite that names their fields: "
            r'header = \["text", "label"\] \(docs/suites\.md\)\. It has\n  items\[\]  \[\'good\'',
        ),
    ],
)
def test_rows_that_are_no_objects_are_shown_with_what_to_do(tmp_path, rows, told):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"items": rows}), encoding="utf-8")
    with pytest.raises(SuiteError, match=told):
        bench.own_suite(path, rows="items[]")


def test_strings_inside_json_are_texts_of_a_task_without_labels(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"items": ["good", "bad", "so so"]}), encoding="utf-8")
    suite = bench.own_suite(path, rows="items[]", text="items[]", kind="language_modelling", holdout=0.4)
    data = load_data(suite.tasks[0], data_dir=tmp_path)
    assert sorted(each.text for split in data.splits.values() for each in split) == ["bad", "good", "so so"]
