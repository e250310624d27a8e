"""How SQuAD makes two answers comparable before it compares them."""

from __future__ import annotations

import re
import string

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, without English articles, with single spaces.

    In the order of the official script (Rajpurkar et al. 2016, arXiv:1606.05250, evaluate-v1.1.py).
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())
