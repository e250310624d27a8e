"""The survey's shifted sets, read as their data set files say: real ones, and made ones in the authors' layouts."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from bench.base.errors import DataError
from bench.spec.data import DATASETS, read_dataset
from bench.spec.suite import Task, load_suite
from bench.tasks.shifted import read_shifted

NLI = ("entailment", "neutral", "contradiction")
PAIR = ("not_equivalent", "equivalent")
PARAPHRASE = dict(zip(PAIR, ("different", "paraphrase"), strict=True))
FEVER = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
SETS = ("hans", "paws", "fever", "twitterppdb", "cad-imdb", "advglue", "adversarial-squad", "contrast")


def read(data, folder, *, labels=(), kind="classification", **keys):
    """The examples of one set that a task with these labels is scored on, and its notes."""
    metrics = ("accuracy",) if kind == "classification" else ("f1",)
    task = Task(
        name="made",
        kind=kind,
        labels=labels,
        metrics=metrics,
        data="generated/sentiment",
        shifted={"set": {"data": data, **keys}},
    )
    found = next(iter(read_shifted(task, data_dir=folder)))
    return found.examples, found.notes


def counts(examples):
    return dict(Counter(example.label for example in examples))


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in DATASETS.names() if name.partition("/")[0] in SETS])
def test_every_set_says_what_it_is_and_does_not_claim_what_was_not_looked_up(name):
    found = read_dataset(name)
    assert found.title
    assert "arXiv" in found.cite
    assert found.notes
    assert found.local != (found.hub is not None)
    assert found.hub is None or not found.hub.verified


@pytest.mark.shared
@pytest.mark.parametrize(
    ("data", "labels", "keys", "expected"),
    [
        ("cad-imdb/original", ("negative", "positive"), {"split": "test"}, {1: 245, 0: 243}),
        ("cad-imdb/counterfactual", ("negative", "positive"), {"split": "test"}, {0: 245, 1: 243}),
        ("cad-imdb/original", ("positive", "negative"), {"split": "validation"}, None),
        ("paws/x-en", PAIR, {"split": "test", "fold": PARAPHRASE}, {0: 1093, 1: 907}),
        ("paws/x-en", PAIR, {"split": "validation", "fold": PARAPHRASE}, {0: 1137, 1: 863}),
        ("advglue/sst2", ("negative", "positive"), {}, None),
        ("advglue/qqp", ("not_duplicate", "duplicate"), {}, None),
        ("advglue/mnli", NLI, {}, None),
        ("advglue/mnli-mismatched", NLI, {}, None),
        ("advglue/qnli", ("entailment", "not_entailment"), {}, None),
        ("advglue/rte", ("entailment", "not_entailment"), {}, None),
    ],
)
def test_real_sets_have_the_published_number_of_rows(real_data, data, labels, keys, expected):
    examples, _ = read(data, real_data, labels=labels, **keys)
    assert len(examples) == read_dataset(data).sizes[keys.get("split", "validation")]
    if expected is not None:
        assert counts(examples) == expected
    assert all(example.text for example in examples)


@pytest.mark.shared
def test_labels_are_matched_by_name_whatever_their_order(real_data):
    ahead, _ = read("advglue/rte", real_data, labels=("entailment", "not_entailment"))
    behind, _ = read("advglue/rte", real_data, labels=("not_entailment", "entailment"))
    assert [example.label for example in ahead] == [1 - example.label for example in behind]
    assert (ahead[0].label, "Médecins" in ahead[0].text or "Medecins" in ahead[0].text) == (0, True)


@pytest.mark.shared
def test_adversarial_squad_has_its_originals_and_their_altered_versions(real_data):
    pattern = load_suite("shifted").task("squad").shifted["addsent"].altered
    examples, _ = read("adversarial-squad/addsent", real_data, kind="span_qa", altered=pattern)
    uids = {example.uid for example in examples}
    originals = {uid for uid in uids if "high-conf" not in uid}
    assert (len(examples), len(uids), len(originals)) == (3560, 3560, 1000)
    few, notes = read("adversarial-squad/addsent", real_data, kind="span_qa", altered=pattern, examples=300)
    assert 290 <= len(few) <= 300
    assert {each.uid.partition("-")[0] for each in few} == {each.uid for each in few} & originals
    assert "of 3560 examples (seed 0)" in notes[0]


def test_hans_is_read_from_its_authors_table_with_its_heuristics(tmp_path):
    header = "gold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpairID\theuristic\tsubcase\ttemplate"
    write(
        tmp_path / "hans" / "heuristics_evaluation_set.txt",
        header,
        'non-entailment\t( a )\tThe "actor paid .\tThe actor .\tex0\tlexical_overlap\tln\ttemp1',
        "entailment\t( a )\tThe doctor slept .\tA doctor slept .\tex1\tconstituent\tce\ttemp2",
    )
    fold = dict.fromkeys(NLI[1:], "non-entailment")
    examples, _ = read("hans/hans", tmp_path, labels=NLI, fold=fold)
    assert [(each.label, each.group) for each in examples] == [(1, "lexical_overlap"), (0, "constituent")]
    assert (examples[0].text, examples[0].pair) == ('The "actor paid .', "The actor .")


def test_hans_is_read_from_a_copy_of_the_hub(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features(
        {
            "premise": Value("string"),
            "hypothesis": Value("string"),
            "label": ClassLabel(names=["entailment", "non-entailment"]),
            "heuristic": Value("string"),
        }
    )
    rows = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [1, 0], "heuristic": ["x", "y"]}
    folder = tmp_path / "jhu-cogsci" / "hans" / "plain_text"
    folder.mkdir(parents=True)
    Dataset.from_dict(rows, features=features).to_parquet(folder / "validation-00000-of-00001.parquet")
    examples, _ = read("hans/hans", tmp_path, labels=NLI, fold=dict.fromkeys(NLI[1:], "non-entailment"))
    assert [(each.text, each.pair, each.label, each.group) for each in examples] == [
        ("a", "c", 1, "x"),
        ("b", "d", 0, "y"),
    ]


@pytest.mark.parametrize("form", ["({}, 6)", "{}/6"])
def test_votes_of_twitterppdb_become_labels_and_ties_are_left_out(tmp_path, form):
    lines = [f'tweet {votes}\tother "{votes}\t{form.format(votes)}\thttp://t.co/{votes}' for votes in range(7)]
    write(tmp_path / "twitterppdb" / "Twitter_URL_Corpus_test.txt", *lines)
    examples, _ = read("twitterppdb/twitter-url", tmp_path, labels=PAIR, split="test", fold=PARAPHRASE)
    assert [(each.text[-1], each.label) for each in examples] == [
        *(("0", 0), ("1", 0), ("2", 0)),
        *(("4", 1), ("5", 1), ("6", 1)),
    ]


@pytest.mark.parametrize(
    ("data", "path", "evidence"),
    [
        ("fever/symmetric-1", "fever/symmetric_v0.1/fever_symmetric_generated.jsonl", "evidence_sentence"),
        ("fever/symmetric-2", "fever/symmetric_v0.2/fever_symmetric_test.jsonl", "evidence"),
    ],
)
def test_fever_symmetric_lacks_a_class_of_fever_and_says_so(tmp_path, data, path, evidence):
    rows = [
        {"id": "2", "claim": "A is B .", evidence: "A is a B .", "label": "SUPPORTS"},
        {"id": "4", "claim": "A is C .", evidence: "A is a B .", "label": "REFUTES"},
    ]
    write(tmp_path / path, *map(json.dumps, rows))
    for labels, expected in ((FEVER, [0, 1]), (FEVER[::-1], [2, 1])):
        examples, notes = read(data, tmp_path, labels=labels, split="test")
        assert [example.label for example in examples] == expected
        assert notes[1] == "shifted set set: no example is NOT ENOUGH INFO"
    assert (examples[0].text, examples[0].pair) == ("A is a B .", "A is B .")


def test_paws_and_contrast_sets_are_read_from_their_authors_tables(tmp_path):
    write(tmp_path / "paws/final/test.tsv", "id\tsentence1\tsentence2\tlabel", '1\tA " b .\tb A .\t0', "2\tc .\td .\t1")
    examples, _ = read("paws/wiki", tmp_path, labels=PAIR, split="test", fold=PARAPHRASE)
    assert [example.label for example in examples] == [0, 1]
    write(tmp_path / "contrast/imdb/test_contrast.tsv", "Sentiment\tText", 'Positive\t"So ""good"""', "Negative\tBad")
    examples, _ = read("contrast/imdb", tmp_path, labels=("negative", "positive"), split="test")
    assert [(example.text, example.label) for example in examples] == [('So "good"', 1), ("Bad", 0)]


def test_a_set_that_is_not_there_is_named_with_the_places_that_were_looked_at(tmp_path):
    with pytest.raises(
        DataError, match=r"(?s)no file with the 'test' split of cad-imdb/original.*  test \+ .*cad_imdb/orig"
    ):
        read("cad-imdb/original", tmp_path, labels=("negative", "positive"), split="test")
