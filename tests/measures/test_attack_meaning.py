"""What may stand for a word: never its opposite, with a real dictionary, a made one, and none."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.measures.robustness.attacks.bound import Bound, most_words
from bench.measures.robustness.attacks.candidates import Synonyms
from bench.measures.robustness.attacks.greedy import Target, run, search
from bench.measures.robustness.attacks.meaning import Meaning, vader_lexicon
from bench.measures.robustness.attacks.source import Ground, TypingSource
from bench.tasks.wording import dictionary as dictionaries
from bench.tasks.wording.dictionary import DEBIAN, SourceMissingError, find_dictionary, open_wordnet

OPPOSITES = [
    ("good", "bad"),
    ("better", "worse"),
    ("best", "worst"),
    ("successful", "failed"),
    ("success", "failure"),
    ("like", "hate"),
    ("love", "hate"),
    ("hot", "icy"),
    ("quickly", "slowly"),
    ("increased", "decreased"),
    ("likely", "unlikely"),
    ("cheap", "expensive"),
    ("two", "three"),
    ("never", "always"),
]
needs_nltk = pytest.mark.skipif(importlib.util.find_spec("nltk") is None, reason="nltk is not installed")
needs_wordnet = pytest.mark.skipif(
    not (DEBIAN / "data.noun").is_file() or not importlib.util.find_spec("vaderSentiment"),
    reason="WordNet (Debian's wordnet-base) or VADER's lexicon is not installed",
)


class Made:
    """A dictionary given by hand."""

    parts = dict.fromkeys(("good", "bad", "fine", "awful", "solid", "happy", "unhappy"), "adj") | {"film": "noun"}

    def part(self, word):
        return self.parts.get(word)

    def bases(self, word):
        return (word,)

    def synonyms(self, word):
        return {"good": ("fine", "solid", "bad", "awful")}.get(word, ())

    def opposites(self, word):
        return frozenset({"good": ["bad"]}.get(word, ()))


LEXICON = {"good": 1.9, "fine": 0.8, "awful": -2.0}


def test_every_ground_for_refusing_a_word_refuses_it():
    meaning = Meaning(Made(), LEXICON)
    assert meaning.keeps("good", "fine")
    assert meaning.keeps("Good", "FINE")
    assert not meaning.keeps("good", "good")
    assert not meaning.keeps("good", "bad")  # an antonym, which the lexicon lacks
    assert not meaning.keeps("bad", "good", unlisted=True)  # the same the other way round
    assert not meaning.keeps("good", "awful", unlisted=True)  # another sign, no antonym
    assert not meaning.keeps("good", "solid")  # the lexicon lacks one of them
    assert meaning.keeps("good", "solid", unlisted=True)
    assert not meaning.keeps("happy", "unhappy")
    assert not meaning.keeps("good", "film", unlisted=True)  # another part of speech
    assert not meaning.keeps("good", "xyzzy", unlisted=True)
    for word in ("not", "never", "two", "some", "like", "isn't", "2001"):
        assert meaning.fixed(word)


def test_synonyms_are_filtered_and_names_have_none():
    synonyms = Synonyms(Made(), Meaning(Made(), LEXICON))
    assert list(synonyms.of("good")) == ["fine", "solid"]
    assert list(synonyms.of("Good")) == list(synonyms.of("film")) == []


@needs_wordnet
@pytest.mark.parametrize("pair", OPPOSITES)
def test_opposites_never_stand_for_each_other(pair):
    meaning = Meaning(find_dictionary(), vader_lexicon())
    for word, other in (pair, pair[::-1]):
        assert not meaning.keeps(word, other, unlisted=True)
        assert other not in find_dictionary().synonyms(word)


@needs_wordnet
def test_synonyms_keep_part_of_speech_and_form():
    dictionary = find_dictionary()
    assert dictionary.version == "3.0"
    assert "movie" in dictionary.synonyms("film")
    assert "movies" in dictionary.synonyms("films")
    assert "commences" in dictionary.synonyms("begins")
    assert dictionary.synonyms("better") == dictionary.synonyms("went") == ()
    assert dictionary.part("films") == "noun s"
    assert dictionary.part("xyzzy") is None
    meaning = Meaning(dictionary, vader_lexicon())
    assert meaning.keeps("good", "great")
    assert meaning.keeps("big", "large", unlisted=True)


@needs_wordnet
def test_a_typing_error_gives_no_word_of_the_dictionary():
    ground = Ground(model=None, tokenizer=None, device="cpu", seed=0, known_words=frozenset({"goods"}))
    edits = {edit for seed in range(20) for edit in TypingSource().open(replace(ground, seed=seed)).of("good")}
    assert "goood" in edits
    assert edits.isdisjoint({"god", "goof", "goods"})


def sense(offset, kind, words, pointers=()):
    """One line of a data file: words with their numbers, and (symbol, offset) pointers to the part `kind`."""
    part = "a" if kind == "s" else kind
    listed = " ".join(f"{word} 0" for word in words)
    pointed = "".join(f" {symbol} {to:08d} {part} {ends}" for symbol, to, ends in pointers)
    frames = " 00" if kind == "v" else ""
    return f"{offset:08d} 00 {kind} {len(words):02x} {listed} {len(pointers):03d}{pointed}{frames} | made  \n"


@pytest.fixture
def folder(tmp_path):
    """A dictionary of one noun and three adjectives: hot is the antonym of cold, and icy is similar to cold."""
    header = "  1 made for a test, WordNet 3.0 Copyright\n"
    film = sense(len(header), "n", ["film", "movie"])
    hot, cold = [("!", 0, "0101")], [("!", 0, "0101"), ("&", 0, "0000")]  # as long as with their own numbers
    starts = [len(header)]
    starts += [starts[0] + len(sense(0, "a", ["hot"], hot))]
    starts += [starts[1] + len(sense(0, "a", ["cold"], cold))]
    adjectives = [
        sense(starts[0], "a", ["hot"], [("!", starts[1], "0101")]),
        sense(starts[1], "a", ["cold"], [("!", starts[0], "0101"), ("&", starts[2], "0000")]),
        sense(starts[2], "s", ["icy"], [("&", starts[1], "0000")]),
    ]
    data = {"noun": [film], "adj": adjectives, "verb": [], "adv": []}
    index = {
        "noun": [f"{word} n 1 0 1 1 {len(header):08d}  \n" for word in ("film", "movie")],
        "adj": [
            f"{word} a 1 0 1 0 {at:08d}  \n"
            for word, at in zip(("cold", "hot", "icy"), (starts[1], starts[0], starts[2]), strict=True)
        ],
    }
    for part, lines in data.items():
        (tmp_path / f"data.{part}").write_text(header + "".join(lines), encoding="utf-8")
        (tmp_path / f"index.{part}").write_text(header + "".join(index.get(part, [])), encoding="utf-8")
        (tmp_path / f"{part}.exc").write_text("", encoding="utf-8")
    (tmp_path / "cntlist.rev").write_text("film%1:00:00:: 1 3\n", encoding="utf-8")
    return tmp_path


@needs_nltk
def test_a_folder_in_wordnets_format_is_read(folder):
    made = open_wordnet(folder)
    try:
        check_made(made)
    finally:
        made.close()


def check_made(made):
    assert made.synonyms("film") == ("movie",)
    assert made.synonyms("movies") == ("films",)
    assert {"hot", "cold"} <= made.opposites("cold") | made.opposites("hot")
    assert "hot" in made.opposites("icy")  # by way of cold, which is similar
    meaning = Meaning(made, {})
    assert meaning.keeps("icy", "cold")
    assert not meaning.keeps("icy", "hot")
    assert not meaning.keeps("hot", "icy")


@needs_nltk
def test_what_a_folder_lacks_is_said_with_what_to_do(folder, monkeypatch):
    (folder / "verb.exc").unlink()
    monkeypatch.setenv("BENCH_WORDNET", str(folder))
    with pytest.raises(SourceMissingError, match=r"verb\.exc missing\. Install Debian's package wordnet-base"):
        find_dictionary()


@needs_nltk
def test_without_any_folder_the_reason_says_what_to_install(monkeypatch, tmp_path):
    import nltk.data

    monkeypatch.delenv("BENCH_WORDNET", raising=False)
    monkeypatch.setattr(dictionaries, "DEBIAN", tmp_path)
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(SourceMissingError, match="wordnet-base, or set BENCH_WORDNET"):
        dictionaries._found.__wrapped__(None)


def test_a_text_is_bounded_in_words_and_in_likeness(tokenizer):
    vocabulary = tokenizer.get_vocab()
    table = torch.zeros(len(vocabulary), 2)
    table[:, 0] = 1.0
    table[vocabulary["bad"]] = torch.tensor([0.0, 9.0])
    embedding = torch.nn.Embedding.from_pretrained(table)
    bound = Bound(SimpleNamespace(get_input_embeddings=lambda: embedding), tokenizer, device="cpu")
    text = "the film was good and the plot"
    assert bound.allows(text, "the film was great and the plot")
    assert not bound.allows(text, "the film was great and the story")  # two of seven words
    assert not bound.allows(text, "the film was and the plot")
    assert bound.cosine(text, "the film was bad and the plot") == pytest.approx(6 / (36 + 81) ** 0.5)
    assert not bound.allows(text, "the film was bad and the plot")
    assert bound.cosine("", "") == 1
    assert bound.cosine("", "film") == 0


def test_a_text_beyond_the_bound_is_never_scored_and_never_flips():
    scored = []

    def score(rows):
        scored.extend(text for _, text in rows)
        return np.array([[0.9, 0.1] if "bad" in text or "fun" in text else [0.1, 0.9] for _, text in rows])

    def attack(options):
        target = Target(text="a good film", label=1, clean=0.9)
        source = SimpleNamespace(of=lambda word: options if word == "good" else [])
        inner = search(target, [source], budget=50, allowed=lambda text: "bad" not in text)
        return run([inner], score)[0]

    refused = attack(["bad"])
    assert (refused.flipped, refused.changed, refused.queries) == (False, 0, len(scored))
    assert all("bad" not in text for text in scored)
    allowed = attack(["bad", "fun"])
    assert (allowed.flipped, allowed.text) == (True, "a fun film")


@pytest.mark.parametrize(("words", "most"), [(1, 1), (9, 1), (10, 2), (29, 5)])
def test_a_fifth_of_the_words_may_change_and_one_always(words, most):
    assert most_words(" ".join(["word"] * words)) == most
