"""Whether a word may replace another without reversing the meaning."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from bench.tasks.wording.dictionary import Dictionary, SourceMissingError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATIONS = _words(
    """
    no not none nobody nothing nowhere neither nor never cannot without hardly scarcely barely rarely seldom
    lack lacks lacked lacking except unless nope nay
    """
)
_QUANTITIES = _words(
    """
    all any both each every few fewer fewest less lesser least little many more most much only several some half
    double twice once thrice enough almost nearly quite rather very too so just even still yet ago zero one two
    three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion trillion
    dozen score first second third fourth fifth sixth seventh eighth ninth tenth last next single triple
    hundreds thousands millions billions dozens ones
    """
)
_FUNCTION_WORDS = _words(
    """
    a an the this that these those i me my mine myself you your yours yourself he him his himself she her hers
    herself it its itself we us our ours ourselves they them their theirs themselves who whom whose which what
    where when why how whoever whatever whichever somebody someone something anybody anyone anything everybody
    everyone everything another other others such same own be am is are was were been being have has had having
    do does did doing done can could may might must shall should will would ought need dare and or but if
    because although though while whereas than as like unlike about above across after against along among
    around at before behind below beneath beside besides between beyond by despite down during for from in
    inside into near of off on onto out outside over past per since through throughout to toward towards under
    until till up upon via with within here there then now thus hence however therefore else instead away back
    again ever always also well
    """
)
FIXED = NEGATIONS | _QUANTITIES | _FUNCTION_WORDS
_PREFIXES = ("un", "in", "im", "il", "ir", "non", "dis", "mis", "anti", "counter", "under", "over")


class Meaning:
    """Keeps the opposite of a word from standing for it.

    A word may stand for another if the dictionary has both as the same part of speech in the same form; they are not
    opposites, directly or through similar adjectives and derived forms; the lexicon gives both the same sign (a word
    that it lacks is neutral); neither is the other with a prefix such as un-; and neither is a negation, a number, a
    word of quantity, degree or time, or another function word, which are never replaced.

    Args:
        dictionary: of parts of speech and opposites.
        lexicon: polarity by word in lower case; only its sign counts.
    """

    def __init__(self, dictionary: Dictionary, lexicon: Mapping[str, float]) -> None:
        self._dictionary = dictionary
        self._lexicon = lexicon

    def fixed(self, word: str) -> bool:
        """Whether `word`, in lower case, is never replaced and never offered."""
        return word in FIXED or len(word) < 2 or not word.isalpha()  # numerals, and contractions, which may negate

    def keeps(self, word: str, other: str, *, unlisted: bool = False) -> bool:
        """Whether `other` may stand for `word`, in any case; if `unlisted`, also if the lexicon lacks just one."""
        word, other = word.lower(), other.lower()
        if word == other or self.fixed(word) or self.fixed(other):
            return False
        part = self._dictionary.part(word)
        if part is None or part.endswith("other") or part != self._dictionary.part(other):
            return False
        signs = self._sign(word), self._sign(other)
        alike = signs[0] == signs[1] or (unlisted and 0 in signs)
        return alike and not self._opposed(word, other)

    def _opposed(self, word: str, other: str) -> bool:
        bases, others = self._dictionary.bases(word), self._dictionary.bases(other)
        if any(a == prefix + b or b == prefix + a for a in bases for b in others for prefix in _PREFIXES):
            return True
        opposites, from_other = self._dictionary.opposites(word), self._dictionary.opposites(other)
        return any(base in opposites for base in others) or any(base in from_other for base in bases)

    def _sign(self, word: str) -> int:
        """1, 0 or -1: of the word itself, else of the first of its dictionary forms that the lexicon has."""
        found = next((self._lexicon[base] for base in self._dictionary.bases(word) if base in self._lexicon), 0.0)
        return (found > 0) - (found < 0)


@functools.lru_cache(maxsize=1)
def vader_lexicon() -> dict[str, float]:
    """VADER's mean ratings from -4 to 4 (Hutto and Gilbert 2014, ICWSM) from the package vaderSentiment.

    Raises:
        SourceMissingError: with what to install.
    """
    found = importlib.util.find_spec("vaderSentiment")
    if found is None or not found.submodule_search_locations:
        raise SourceMissingError("VADER's lexicon of polarity is not installed: pip install 'bench[attack]'")
    path = Path(found.submodule_search_locations[0]) / "vader_lexicon.txt"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {row[0].lower(): float(row[1]) for row in rows}
