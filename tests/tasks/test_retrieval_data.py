import json

import pytest
from made_collection import SUITE, write_collection

from bench.base.errors import DataError
from bench.spec.data import DATASETS, TableData, read_dataset
from bench.spec.suite import SUITES_DIR, Task, load_suite
from bench.tasks.data import load_data
from bench.tasks.examples import CORPUS, read_data, write_data
from bench.tasks.sources.formats import read_file

CRANFIELD = Task(
    name="cranfield", kind="retrieval", metrics=("ndcg_at_10",), data="retrieval/cranfield", evaluate=("test",)
)


@pytest.fixture
def made(tmp_path):
    """A task of the made collection, and its folder."""
    write_collection(tmp_path / "data")
    (tmp_path / "suite.toml").write_text(SUITE, encoding="utf-8")
    return load_suite(str(tmp_path / "suite.toml")).tasks[0], tmp_path / "data"


def test_queries_of_a_split_are_those_that_its_judgements_name(made):
    task, folder = made
    data = load_data(task, data_dir=folder)
    assert {split: len(examples) for split, examples in data.splits.items()} == {"train": 60, "test": 20, CORPUS: 120}
    first = data.splits["test"][0]
    assert first.uid == "q4"
    assert all(grade in (1, 2) for _, grade in first.relevant)
    assert len(first.relevant) == 3
    assert first.pair is None


def test_a_training_example_is_a_query_with_the_text_of_one_relevant_document(made):
    task, folder = made
    data = load_data(task, data_dir=folder)
    documents = {document.uid: document.text for document in data.splits[CORPUS]}
    for example in data.splits["train"]:
        ((uid, _),) = example.relevant
        assert example.uid.endswith(f"/{uid}")
        assert example.pair == documents[uid]
    assert documents["d0"].startswith("film ")


def test_documents_and_grades_are_in_the_cache_and_in_the_fingerprint(made, tmp_path):
    task, folder = made
    data = load_data(task, data_dir=folder)
    write_data(tmp_path / "cache.parquet", data)
    assert read_data(tmp_path / "cache.parquet") == data
    rows = (folder / "corpus.jsonl").read_text().replace('"text": "', '"text": "x ', 1)
    (folder / "corpus.jsonl").write_text(rows)
    assert load_data(task, data_dir=folder).fingerprint() != data.fingerprint()


def test_a_judged_document_that_the_corpus_lacks_is_named_with_its_line(made):
    task, folder = made
    with (folder / "qrels" / "test.tsv").open("a") as stream:
        stream.write("q4\tmissing\t1\n")
    with pytest.raises(DataError, match=r"test\.tsv:82: document 'missing' is judged, but it is not among the 120"):
        load_data(task, data_dir=folder)


def test_a_grade_that_is_no_whole_number_is_named_with_its_line(made):
    task, folder = made
    path = folder / "qrels" / "test.tsv"
    path.write_text(path.read_text().replace("\t2\n", "\thigh\n", 1))
    with pytest.raises(DataError, match=r"test\.tsv:\d+: the grade is 'high'; expected a whole number"):
        load_data(task, data_dir=folder)


def test_judgements_of_other_queries_say_that_the_ids_differ(made):
    task, folder = made
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    text = "".join(json.dumps({**row, "_id": f"x{row['_id']}"}) + "\n" for row in rows)
    (folder / "queries.jsonl").write_text(text)
    with pytest.raises(DataError, match="none of its 40 queries has a relevant document"):
        load_data(task, data_dir=folder)


def test_a_corpus_without_judgements_is_refused(made):
    task, folder = made
    bare = task.data.model_dump(exclude_unset=True) | {"judgements": None}
    with pytest.raises(DataError, match="retrieval needs a corpus and judgements"):
        load_data(task.model_copy(update={"data": type(task.data)(**bare)}), data_dir=folder)


SMART = """.I 001
.T
a title
.W
first line
second line
.I 004
.W
another text .
.A
"""


def test_records_of_the_smart_format_have_their_letters_and_their_number(tmp_path):
    (tmp_path / "made.qry").write_text(SMART)
    table = read_file(tmp_path / "made.qry", TableData(format="smart"), name="made.qry")
    rows = list(table.rows)
    assert [row.values["number"] for row in rows] == ["1", "2"]
    assert rows[0].values == {"I": "001", "number": "1", "T": "a title", "W": "first line second line", "A": ""}
    assert rows[1].values == {"I": "004", "number": "2", "T": "", "W": "another text .", "A": ""}
    assert [row.place for row in rows] == [1, 7]


@pytest.mark.parametrize(
    ("text", "says"),
    [("some text\n.I 1\n", "made:1: found 'some text' before the first record"), ("\n", "no record"), (".I\n", ":1:")],
)
def test_a_file_that_is_not_in_the_smart_format_is_refused_with_its_line(tmp_path, text, says):
    (tmp_path / "made").write_text(text)
    with pytest.raises(DataError, match=says):
        list(read_file(tmp_path / "made", TableData(format="smart"), name="made").rows)


@pytest.mark.shared
def test_cranfield_has_its_queries_documents_and_grades(real_data):
    data = load_data(CRANFIELD, data_dir=real_data)
    queries = {example.uid.partition("/")[0] for example in data.splits["train"]} | {
        example.uid for example in data.splits["test"]
    }
    assert queries == {str(number) for number in range(1, 226)}
    assert len(data.splits[CORPUS]) == 1400
    assert len(data.splits["test"]) == 112
    grades = [grade for split in ("train", "test") for each in data.splits[split] for _, grade in each.relevant]
    # Codes 1, 2, 3 and 4 of cranqrel are the grades 4, 3, 2 and 1; its 225 codes -1 are not relevant.
    assert [grades.count(grade) for grade in (4, 3, 2, 1)] == [128, 387, 734, 363]


@pytest.mark.shared
def test_the_second_query_of_cranfield_is_judged_by_its_order_and_not_by_its_number(real_data):
    data = load_data(CRANFIELD, data_dir=real_data)
    found = {example.uid: example for example in data.splits["test"]}
    assert ("12", 4) in found["2"].relevant
    assert found["2"].text.startswith("what are the structural and aeroelastic problems")


@pytest.mark.shared
def test_the_code_minus_one_of_cranfield_is_of_one_paper_per_query_which_other_queries_share(real_data):
    judged = [line.split() for line in (real_data / "cranfield" / "cranqrel").read_text().splitlines()]
    papers = {query: document for query, document, code in judged if code == "-1"}
    assert len(papers) == 225
    assert len(set(papers.values())) == 128
    data = load_data(CRANFIELD, data_dir=real_data)
    relevant = {each.uid: dict(each.relevant) for each in data.splits["test"]}
    assert all(papers[query] not in found for query, found in relevant.items())
    # The readme: 1 is "a complete answer to the question", 4 is "of minimum interest".
    grades = {(query, document): 5 - int(code) for query, document, code in judged if code != "-1"}
    assert all(found == {d: g for (q, d), g in grades.items() if q == query} for query, found in relevant.items())
    assert len(grades) / 225 == pytest.approx(7.16, abs=0.01)


def test_the_suite_reads_every_collection_as_its_file_says():
    suite = load_suite(str(SUITES_DIR / "retrieval.toml"))
    for task in suite.tasks:
        assert task.data.dataset == f"retrieval/{task.name}"
        stated = read_dataset(task.data.dataset)
        assert stated.corpus is not None
        assert stated.judgements is not None
        assert stated.local or not stated.hub.verified
    assert {name for name in DATASETS.names() if name.startswith("retrieval/")} == {
        f"retrieval/{task.name}" for task in suite.tasks
    }
