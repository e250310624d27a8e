"""Data of the old readers, file by file: the table source gives the same examples, down to their fingerprint."""

from __future__ import annotations

import gzip
import json

import pytest

from bench.plan.cell import described
from bench.spec.suite import Task, load_suite
from bench.tasks.data import load_data

# Computed with the readers that stood here before, on the files that `folder` lays out.
FINGERPRINTS = {
    "cola": "5a5705fa7f425e055cec390d2c052a322e9f242016d2a8e5f910fcbc6215004c",
    "sst2": "6d1edb43f813ac7c90648e91293ffc5570a276189fbdb7869c7a95fc0b86ac1b",
    "mrpc": "ee2c67f93a110582588fc23d50cd6f4734e2d595f66d762a293be0272aa69aa3",
    "qqp": "03b4b644a1c6de6465a6216b5248cca32ac4bf23313b3da834fcd90117a8412e",
    "stsb": "e06b53b5e02b62c2016e6e27029794d9da64c3b1a2f2efc3b4e11d552ce2055a",
    "mnli": "41a4c6b575742daaaced9911bd94133431ebe4c9e09e2d8173aa4000eecfc070",
    "qnli": "15ceffe89ec96aaf6c62cab3b56bccaeb88e41c69dfa0ca8dd859366b9cd1437",
    "rte": "64dfff39d608389cb5310bd9714db0d1ff76838037b80da9108341f21bdd9b3c",
    "wnli": "15ceffe89ec96aaf6c62cab3b56bccaeb88e41c69dfa0ca8dd859366b9cd1437",
    "ax": "cef7f4c1b03ed780a867bc39165baf67b8df25a8128178d6d348d388f29cf69d",
    "multi30k-de-en": "e98fba04c18744ac5f62d2f69d6371bcff57faae375b48fb964d61a55df77f13",
    "multi30k-en-de": "3817da1612e9d93e935e46a95424fab8781334d0ea8bcb429d83b10a74a3df9d",
    "text-multi30k-en": "4acd1db854de54285179adb3b4e15cf0a1ef1ded46f166f417e9de58efeebc19",
    "text-multi30k-de": "2bd41967241bbbb4398a0dbb8f2ec0cd61c506d4ebd609994976302a3d983113",
    "text-wikitext-2-v1": "289e5eb79c35a67bea25e49e9830f8154c1537d9bb5c2e60536e4070069f1f1b",
    "text-corpus": "a09a878af3281cddd334eb33139b459cb9f1aef311054297dc18caddb8f9f8ca",
}
SEQUENCES = {
    "multi30k-de-en": ("translation", "bleu"),
    "multi30k-en-de": ("translation", "bleu"),
    "text-multi30k-en": ("language_modelling", "perplexity"),
    "text-multi30k-de": ("language_modelling", "perplexity"),
    "text-wikitext-2-v1": ("language_modelling", "perplexity"),
    "text-corpus": ("language_modelling", "perplexity"),
}
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def task_called(name):
    if name not in SEQUENCES:
        return load_suite("glue").task(name)
    source, _, subset = name.partition("-")
    kind, metric = SEQUENCES[name]
    return Task(name=name, kind=kind, metrics=(metric,), data={"source": source, "subset": subset})


def glue_files():
    """Every official layout: headerless, byte order marks, broken lines, JSON lines, several places."""
    for split in ("train", "dev"):
        yield f"glue/CoLA/{split}.tsv", f'gj04\t1\t\tIt sailed {split}.\ngj04\t0\t*\tSailed "it.\n'
        yield f"glue/SST-2/{split}.tsv", f'sentence\tlabel\nfine {split} . \t1\n"bad \t0\n'
        head = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
        yield f"MRPC/{split}.tsv", f"{head}1\t7\t8\tOne.\tTwo {split}.\r\n0\t7\t8\tA\tB\r\n"
        yield f"QQP/{split}.tsv", QQP + "0\t1\t2\ta\tb\t1\n" * 1500 + "7\t8\tcut off\n1\t1\t2\tc\td\t0\n"
        yield f"STS-B/{split}.tsv", f"index\tsentence1\tsentence2\tscore\n0\ta\tb {split}\t3.800\n1\tc\td\t0\n"
        head = "index\tquestion\tsentence\tlabel\n"
        yield f"glue/QNLI/{split}.tsv", f"{head}0\ta\tb {split}\tnot_entailment\n1\tc\td\tentailment\n"
        entries = [{"premise": "a\u2028", "hypothesis": split, "label": 1}]
        entries.append({"premise": "b", "hypothesis": "c", "label": "entailment"})
        yield f"glue/RTE/{split}.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries)
        yield f"WNLI/{split}.tsv", f"index\tsentence1\tsentence2\tlabel\n0\ta\tb {split}\t1\n1\tc\td\t0\n"
    for name in ("train", "dev_matched", "dev_mismatched"):
        head = "index\tsentence1\tsentence2\tlabel1\tgold_label\n"
        yield (
            f"MNLI/{name}.tsv",
            f"{head}0\ta\tb {name}\tneutral\tcontradiction\n1\tc\td\tx\tneutral\n2\te\tf\tx\tentailment\n",
        )
    head = "Logic\tPremise\tHypothesis\tLabel\r\n"
    yield "glue/AX/diagnostic-full.tsv", head + "\ta\tb\tneutral\r\n\tc\td\tentailment\r\n\te\tf\tcontradiction\r\n"


def text_files():
    for split in ("train", "val", "test_2016_flickr"):
        yield f"multi30k/{split}.de.gz", f"Ein Hund {split}.\n Zwei Männer. \n"
        yield f"multi30k/{split}.en.gz", f"A dog {split}.\nTwo men.\n"
    for split in ("train", "valid"):
        yield f"wikitext-2/wiki.{split}.tokens", f" = Title {split} = \n \n one two \n\nthree\n\n"
        yield f"corpus/ptb.{split}.txt", f" a {split} \n\n b\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name, text in (*glue_files(), *text_files()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return root


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_examples_of_existing_tasks_keep_their_fingerprints(name, folder):
    assert load_data(task_called(name), data_dir=folder).fingerprint() == FINGERPRINTS[name]


def test_what_a_record_depends_on_of_an_existing_task_stays_the_same():
    assert described(load_suite("glue").task("ax")) == {
        "name": "ax",
        "kind": "classification",
        "labels": ["entailment", "neutral", "contradiction"],
        "metrics": ["mcc"],
        "data": {"source": "glue", "subset": "ax"},
        "evaluate": ["test"],
        "trained_on": "mnli",
    }


def test_origin_and_notes_name_files_below_the_data_folder(folder):
    data = load_data(task_called("qqp"), data_dir=folder)
    assert data.origin == "local files QQP/train.tsv, QQP/dev.tsv"
    assert data.notes == tuple(
        f"1 malformed lines of QQP/{split}.tsv left out, as in the hub's version" for split in ("train", "dev")
    )
