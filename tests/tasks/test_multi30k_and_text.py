"""Text from files: Multi30k both ways, one side of it, WikiText's and PTB's layouts, and what is said when missing."""

import gzip

import datasets
import pandas
import pytest
from made_sequences import sequence_task

from bench.base.errors import DataError, UnknownNameError
from bench.spec.data import read_dataset
from bench.tasks.data import load_data
from bench.tasks.sources.table import source_of

GERMAN = ("Ein Hund läuft.", "Zwei Männer.", "Eine Frau lacht.")
ENGLISH = ("A dog runs.", "Two men.", "A woman laughs.")


def task(kind, source, subset, **more):
    given = sequence_task(kind, **more)
    return given.model_copy(update={"data": given.data.model_copy(update={"source": source, "subset": subset})})


def load(kind, source, subset, data_dir, **more):
    wanted = task(kind, source, subset, **more)
    return source_of(wanted, where="here").load(wanted, data_dir=data_dir)


def lay_out(folder, *, zipped=True):
    folder.mkdir(parents=True)
    for split in ("train", "val", "test_2016_flickr"):
        for language, lines in (("de", GERMAN), ("en", ENGLISH)):
            content = ("\n".join(lines) + "\n").encode()
            path = folder / f"{split}.{language}{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)


@pytest.mark.parametrize("folder", ["multi30k", "data/task1/raw", "."])
@pytest.mark.parametrize("zipped", [True, False])
def test_multi30k_is_read_in_both_directions(tmp_path, folder, zipped):
    lay_out(tmp_path / "data-dir" / folder, zipped=zipped)
    forth, back = (load("translation", "multi30k", way, tmp_path / "data-dir") for way in ("de-en", "en-de"))
    assert [(e.text, e.target) for e in forth.splits["train"]] == list(zip(GERMAN, ENGLISH, strict=True))
    assert [(e.text, e.target) for e in back.splits["validation"]] == list(zip(ENGLISH, GERMAN, strict=True))
    assert list(forth.splits) == ["train", "validation"]
    assert "train.de" in forth.origin
    assert not forth.generated


def test_missing_files_are_named_with_where_to_get_them(tmp_path):
    with pytest.raises(DataError) as error:
        load("translation", "multi30k", "de-en", tmp_path)
    assert str(error.value).splitlines()[:3] == [
        f"no file with the 'train' split of multi30k/de-en in {tmp_path}. Expected one of",
        "  train.de, with or without .gz",
        "in one of these folders of it: multi30k, multi30k/data/task1/raw, data/task1/raw, or in itself",
    ]
    assert "github.com/multi30k/dataset" in str(error.value)
    with pytest.raises(DataError, match="from local files only"):
        load("translation", "multi30k", "de-en", None)
    with pytest.raises(UnknownNameError, match="Did you mean 'multi30k/de-en'"):
        load("translation", "multi30k", "de_en", tmp_path)


def test_sides_that_do_not_match_are_refused(tmp_path):
    lay_out(tmp_path / "multi30k", zipped=False)
    (tmp_path / "multi30k" / "train.en").write_text("A dog runs.\n\nA woman laughs.\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.de:2: this line or its translation in train.en is empty"):
        load("translation", "multi30k", "de-en", tmp_path)
    (tmp_path / "multi30k" / "train.en").write_text("A dog runs.\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"has 3 lines and .* 1; each line must be the translation"):
        load("translation", "multi30k", "de-en", tmp_path)


def test_a_broken_archive_is_named(tmp_path):
    lay_out(tmp_path / "multi30k")
    (tmp_path / "multi30k" / "train.de.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"train.de.gz: not a gzip file"):
        load("translation", "multi30k", "de-en", tmp_path)


def test_one_side_of_multi30k_is_a_corpus(tmp_path):
    lay_out(tmp_path / "multi30k")
    data = load("language_modelling", "text", "multi30k-en", tmp_path)
    assert [e.text for e in data.splits["train"]] == list(ENGLISH)
    assert data.splits["train"][0].target is None


@pytest.mark.parametrize("names", ["ptb.{}.txt", "wiki.{}.tokens", "{}.txt", "{}.txt.gz"])
def test_the_layouts_of_ptb_and_wikitext_are_read_without_empty_lines(tmp_path, names):
    (tmp_path / "corpus").mkdir()
    for split in ("train", "valid"):
        content = b" = Title = \n \n one two \n\nthree\n\n"
        path = tmp_path / "corpus" / names.format(split)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    data = load("language_modelling", "text", "corpus", tmp_path)
    for split in ("train", "validation"):
        assert [(e.uid, e.text) for e in data.splits[split]] == [
            (f"{split}-0", "= Title ="),
            (f"{split}-2", "one two"),
            (f"{split}-4", "three"),
        ]


def test_every_path_tried_for_a_corpus_is_named(tmp_path):
    with pytest.raises(DataError) as error:
        load("language_modelling", "text", "wikitext-2-v1", tmp_path)
    said = str(error.value).splitlines()
    assert {"  wiki.train.tokens, with or without .gz", "  train.txt, with or without .gz"} <= {*said}
    assert said[-1].startswith("in one of these folders of it: wikitext-2-v1, wikitext-2, ")


def test_a_corpus_that_the_hub_lacks_is_refused_without_files():
    with pytest.raises(DataError, match="'ptb' is read from local files only"):
        load("language_modelling", "text", "ptb", None)


def test_wikitext_comes_from_the_hub_at_its_pinned_revision(monkeypatch):
    asked = []

    def given(*args, **options):
        asked.append((*args, options))
        return datasets.Dataset.from_pandas(pandas.DataFrame({"text": ["", " = A = \n", " b c \n"]}))

    monkeypatch.setattr(datasets, "load_dataset", given)
    data = load("language_modelling", "text", "wikitext-2-raw-v1", None)
    assert [e.text for e in data.splits["train"]] == ["= A =", "b c"]
    hub = read_dataset("text/wikitext-2-raw-v1").hub
    assert data.revision == hub.revision == "b08601e04326c79dfdd32d625aee71d232d685c3"
    assert asked[0] == ("Salesforce/wikitext", "wikitext-2-raw-v1", {"revision": hub.revision, "split": "train"})


@pytest.mark.shared
def test_the_real_multi30k_has_its_published_sizes(real_data):
    wanted = task("translation", "multi30k", "de-en", evaluate=("validation", "test"), train_examples=10)
    data = load_data(wanted, data_dir=real_data)
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 10, "validation": 1014, "test": 1000}
    assert data.notes == ("10 of 29000 training examples (seed 0)",)
    first = source_of(wanted, where="here").load(wanted, data_dir=real_data).splits["train"][0]
    assert first.text.startswith("Zwei junge weiße Männer")
    assert first.target == "Two young, White males are outside near many bushes."
