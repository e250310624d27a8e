"""WordNet from a folder on this machine: parts of speech, synonyms and opposites of a word."""

from __future__ import annotations

import functools
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.base.errors import BenchError

if TYPE_CHECKING:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

VARIABLE = "BENCH_WORDNET"
DEBIAN = Path("/usr/share/wordnet")
_PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}  # the dictionary's letters and the ends of its files
_FILES = (
    *(f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS.values()),
    *(f"{part}.exc" for part in _PARTS.values()),
    "cntlist.rev",
)
_LEXICOGRAPHERS = 45  # their files in WordNet 3.0, lexnames(5WN); a file's number stands for its name here


class SourceMissingError(BenchError):
    """What a source of replacements needs is not on this machine; the text says what to do."""


class Dictionary(Protocol):
    """What is asked about a word, which is given in lower case."""

    def part(self, word: str) -> str | None:
        """The part of speech that `word` is most often used as, with its form ("noun s"); None if unknown."""

    def bases(self, word: str) -> tuple[str, ...]:
        """`word` and the dictionary forms that it may be a form of."""

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Words of the same part of speech and form in the first sense of `word`."""

    def opposites(self, word: str) -> frozenset[str]:
        """Dictionary forms that mean the opposite of some sense of `word`."""


class WordNet:
    """WordNet (Miller 1995, CACM 38(11)) by nltk's reader.

    The part of speech of a word is the one whose senses were tagged most often in SemCor (`cntlist.rev`). There is no
    tagger, so a word has the same part in every text. Regular forms in -s, -ed and -ing are undone and done again;
    other forms, such as comparatives and irregular pasts, have no synonyms. A synonym shares the first sense of the
    word, and this is its own first sense as well.
    """

    def __init__(self, reader: WordNetCorpusReader, folder: Path) -> None:
        self._reader = reader
        self._irregular = {part: _irregular(folder / f"{name}.exc") for part, name in _PARTS.items()}
        self._usual = functools.lru_cache(maxsize=None)(self._find_usual)
        self.opposites = functools.lru_cache(maxsize=None)(self._find_opposites)

    @property
    def version(self) -> str:
        """The dictionary's own version, "3.0"."""
        return str(self._reader.get_version())

    def close(self) -> None:
        """Close the files, which nltk leaves open."""
        for file in (*self._reader._data_file_map.values(), self._reader._key_count_file):
            if file is not None:
                file.close()

    def part(self, word: str) -> str | None:
        """The usual part of speech of a word with its form, as in "verb ing"; None for an unknown word."""
        usual = self._usual(word)
        return None if usual is None else f"{_PARTS[usual[0]]} {usual[2]}".strip()

    def bases(self, word: str) -> tuple[str, ...]:
        """The word, and the base forms that it may have as each part of speech."""
        found = [base for part in _PARTS for base in [self._reader.morphy(word, part)] if base]
        return tuple(dict.fromkeys([word, *found]))

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Synonyms in the first sense of the word, in the form of the word."""
        usual = self._usual(word)
        if usual is None or usual[2] == "other":
            return ()
        part, base, form = usual
        first = self._reader.synsets(base, part)[0]
        names = [name for name in first.lemma_names() if name.isalpha() and name.islower() and name != base]
        alike = [name for name in names if self._is_first_sense(name, part, first)]
        return tuple(_inflected(name, form) for name in alike if form == "" or name not in self._irregular[part])

    def _is_first_sense(self, name: str, part: str, sense: Any) -> bool:
        usual = self._usual(name)
        return usual is not None and usual[:2] == (part, name) and self._reader.synsets(name, part)[0] == sense

    def _find_usual(self, word: str) -> tuple[str, str, str] | None:
        """Part of speech, base and form ("", "s", "ed", "ing" or "other"); None if no entry in lower case has it."""
        found: list[tuple[int, str, str]] = []
        for part in _PARTS:
            base = self._reader.morphy(word, part)
            lemmas = [] if base is None else self._reader.lemmas(base, part)
            if base is not None and any(lemma.name() == base for lemma in lemmas):  # else a name, or unknown
                found.append((sum(lemma.count() for lemma in lemmas), part, base))
        if not found:
            return None
        _, part, base = max(found, key=lambda row: row[0])
        forms = {"v": ("", "s", "ed", "ing"), "n": ("", "s")}.get(part, ("",))
        return part, base, next((form for form in forms if _inflected(base, form) == word), "other")

    def _find_opposites(self, word: str) -> frozenset[str]:
        lemmas = [lemma for base in self.bases(word) for lemma in self._reader.lemmas(base)]
        lemmas += [derived for lemma in lemmas for derived in lemma.derivationally_related_forms()]
        lemmas += [other for lemma in lemmas for near in lemma.synset().similar_tos() for other in near.lemmas()]
        against = [antonym for lemma in lemmas for antonym in lemma.antonyms()]
        wide = [*against, *(derived for lemma in against for derived in lemma.derivationally_related_forms())]
        around = [near for lemma in against for near in (lemma.synset(), *lemma.synset().similar_tos())]
        wide += [lemma for sense in around for lemma in sense.lemmas()]
        return frozenset(lemma.name().lower() for lemma in wide)


def find_dictionary() -> WordNet:
    """WordNet from the folder that `BENCH_WORDNET` names, else Debian's, else nltk's; opened once per process.

    Raises:
        SourceMissingError: with what to install.
    """
    return _found(os.environ.get(VARIABLE))


@functools.lru_cache(maxsize=4)
def _found(named: str | None) -> WordNet:
    if named:
        return open_wordnet(Path(named))
    if (DEBIAN / "data.noun").is_file():
        return open_wordnet(DEBIAN)
    for folder in (Path(str(place)) / "corpora" / "wordnet" for place in _nltk_data().path):
        if (folder / "data.noun").is_file():
            return open_wordnet(folder)
    raise SourceMissingError(
        f"no WordNet found in {DEBIAN} or in nltk's data. Install Debian's package wordnet-base, or set {VARIABLE} to "
        f"a folder with WordNet's files"
    )


def open_wordnet(folder: Path) -> WordNet:
    """The dictionary in `folder`, whose files are those of WordNet 3.0; `lexnames` need not be among them."""
    lacking = [name for name in _FILES if not (folder / name).is_file()]
    if lacking:
        raise SourceMissingError(
            f"{folder} is not a WordNet folder: {', '.join(lacking)} missing. Install Debian's package wordnet-base, "
            f"or set {VARIABLE} to a folder with these files"
        )
    path = _nltk_data().path
    if str(folder) not in path:
        path.append(str(folder))  # nltk opens only what is below a folder of its path
    return WordNet(_reader(folder), folder)


def _nltk_data() -> Any:
    try:
        import nltk.data
    except ModuleNotFoundError as error:
        raise SourceMissingError("nltk, which reads WordNet, is not installed: pip install 'bench[attack]'") from error
    return nltk.data


def _reader(folder: Path) -> WordNetCorpusReader:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):  # type: ignore[misc, unused-ignore]
        """nltk's reader with the file that Debian leaves out, and without what only other languages need."""

        def open(self, file: str) -> Any:
            if file != "lexnames":
                return super().open(file)
            return io.StringIO("".join(f"{number:02d}\t{number}\t0\n" for number in range(_LEXICOGRAPHERS)))

        def map_wn(self, version: str = "wordnet") -> None:
            del version

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions are not available")
        return Reader(str(folder), None)


def _irregular(path: Path) -> frozenset[str]:
    """The dictionary forms that have an irregular form, which the file lists as "went go"."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(base for line in lines for base in line[1:])


def _inflected(base: str, form: str) -> str:
    """`base` with the regular ending "s", "ed" or "ing"; a doubled consonant counts as irregular."""
    if form == "":
        return base
    consonant_y = base.endswith("y") and base[-2:-1] not in ("a", "e", "i", "o", "u")
    if form == "s":
        if consonant_y:
            return base[:-1] + "ies"
        return base + ("es" if base.endswith(("s", "x", "z", "ch", "sh")) else "s")
    if form == "ed":
        return base[:-1] + "ied" if consonant_y else base + ("d" if base.endswith("e") else "ed")
    silent = base.endswith("e") and not base.endswith(("ee", "oe", "ye"))
    return (base[:-1] if silent else base) + "ing"
