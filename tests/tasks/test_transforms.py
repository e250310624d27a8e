"""Marks around spans and candidates for placeholders, by hand and on the real files."""

import pytest
from made_tables import load

from bench.base.errors import DataError, SuiteError
from bench.tasks.sources.rows import Row
from bench.tasks.sources.transforms.transform import transform_of


def changed(spec, *values):
    transform = transform_of(spec, where="here")
    return [row.values for row in transform.rows([Row(each, "file", 1) for each in values], split="train")]


def spans(*stated):
    return {"name": "mark-span", "spans": list(stated)}


def test_spans_by_characters_are_marked_in_each_text():
    given = {"one": "a real class", "two": "class act", "s1": 7, "e1": 12, "s2": 0, "e2": 5}
    spec = spans({"column": "one", "start": "s1", "end": "e1"}, {"column": "two", "start": "s2", "end": "e2"})
    (row,) = changed(spec, given)
    assert (row["one"], row["two"]) == ("a real [class]", "[class] act")


def test_spans_by_words_of_one_text_get_marks_of_their_own():
    given = {
        "text": "Mark told Pete\nParker that He  lied.",
        "target": {"a": 2, "at": "Pete Parker", "b": 5, "bt": "he"},
    }
    spec = spans(
        {"column": "text", "word": "target.a", "says": "target.at", "marks": ["*", "*"]},
        {"column": "text", "word": "target.b", "says": "target.bt", "marks": ["#", "#"]},
    )
    assert changed(spec, given)[0]["text"] == "Mark told *Pete\nParker* that #He#  lied."


def test_nested_spans_have_the_marks_of_the_shorter_inside():
    given = {"text": "his own dog", "s": 0, "e": 11, "s2": 0, "e2": 3}
    spec = spans(
        {"column": "text", "start": "s", "end": "e", "marks": ["<", ">"]},
        {"column": "text", "start": "s2", "end": "e2"},
    )
    assert changed(spec, given)[0]["text"] == "<[his] own dog>"


def test_a_word_counted_wrongly_is_found_nearby():
    given = {"text": "it might use it , it", "at": 2, "says": "it"}
    assert (
        changed(spans({"column": "text", "word": "at", "says": "says"}), given)[0]["text"] == "it might use [it] , it"
    )


def test_a_span_that_says_something_else_is_refused():
    by_word = {"column": "text", "word": "at", "says": "says"}
    with pytest.raises(DataError, match="file:1: text has 'b' at word 1, but says is 'd', which stands nowhere"):
        changed(spans(by_word), {"text": "a b c", "at": 1, "says": "d"})
    assert changed(spans({**by_word, "strict": False}), {"text": "a b c", "at": 1, "says": "d"})[0]["text"] == "a [b] c"
    with pytest.raises(DataError, match="text has 3 words, and at is 3"):
        changed(spans(by_word), {"text": "a b c", "at": 3, "says": "d"})
    by_place = {"column": "text", "start": "s", "end": "e", "says": "says"}
    with pytest.raises(DataError, match="characters 1 to 9 of text are"):
        changed(spans(by_place), {"text": "a b c", "s": 1, "e": 9, "says": "d"})
    with pytest.raises(DataError, match="text has 'b' at 2, but says is 'd'"):
        changed(spans(by_place), {"text": "a b c", "s": 2, "e": 3, "says": "d"})
    with pytest.raises(SuiteError, match="give start and end, or word and says"):
        changed(spans({"column": "text", "word": "at"}))


PASSAGE = "Ada met Bob. Ada left."


def test_entities_are_the_candidates_of_the_official_files():
    given = {
        "passage": {
            "text": PASSAGE,
            "entities": [{"start": 0, "end": 2}, {"start": 8, "end": 10}, {"start": 13, "end": 15}],
        },
        "qas[]": {"query": "@placeholder left.", "answers": [{"start": 0, "end": 2, "text": "Ada"}]},
    }
    columns = {"passage": "passage.text", "entities": "passage.entities"}
    inner = {"query": "qas[].query", "answers": "qas[].answers"}
    (row,) = changed({"name": "record-candidates", **columns, **inner}, given)
    assert (row["choices"], row["gold"], row["right"]) == (["Ada", "Bob"], ["Ada"], [0])


def test_entities_are_the_candidates_of_the_hubs_rows_and_hidden_answers_stay_hidden():
    given = {"passage": PASSAGE, "query": "@placeholder left.", "entities": ["Bob", "Ada"], "answers": ["Ada"]}
    assert changed("record-candidates", given)[0]["right"] == [1]
    assert changed("record-candidates", {**given, "answers": []})[0]["right"] == -1
    with pytest.raises(DataError, match="the answer 'Eve' is none of the 2 entities"):
        changed("record-candidates", {**given, "answers": ["Eve"]})
    with pytest.raises(DataError, match="no @placeholder in query"):
        changed("record-candidates", {**given, "query": "who left"})


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "count", "stated"),
    [
        (
            "WSC",
            104,
            [
                {"column": "text", "word": f"target.span{n}_index", "says": f"target.span{n}_text", "marks": [m, m]}
                for n, m in ((1, "*"), (2, "#"))
            ],
        ),
        ("WiC", 638, [{"column": f"sentence{n}", "start": f"start{n}", "end": f"end{n}"} for n in (1, 2)]),
    ],
)
def test_every_span_of_the_real_files_is_marked(real_data, folder, count, stated):
    columns = {"text": stated[0]["column"], "label": "label"}
    files = {"train": f"superglue/{folder}/val.jsonl"}
    data = load(real_data, labels=("false", "true"), files=files, columns=columns, transform=spans(*stated))
    marks = {mark for span in stated for mark in span.get("marks", ("[", "]"))}
    assert len(data.splits["train"]) == count
    assert all(mark in example.text for example in data.splits["train"] for mark in marks)
