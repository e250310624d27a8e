"""A cased tokenizer for generated text, trained on the task's own texts, that gives plain text back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from bench.base.errors import ModelError

SPECIAL = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}
SPACE = "▁"  # what stands for the space before a word, as in SentencePiece
LONGEST = 10  # characters of a piece that is not a whole word
SURPLUS = (4.0, 2.0, 1.0)  # candidates over the vocabulary's size, before each counting
CHARACTERS = 100  # most frequent characters kept in any case; a quarter of the vocabulary if that is more


def train_text_tokenizer(texts: Iterable[str], *, size: int, max_length: int) -> Any:
    """A tokenizer whose vocabulary depends on `texts` alone; decoding gives the text, white space made single.

    A unigram language model over pieces of words (Kudo 2018, arXiv:1804.10959, §3.2), with counts from the most
    probable segmentation instead of all of them. (The trainers of `tokenizers` depend on the order of a hash map.)
    Encoding ends a text with `</s>`; characters that were not seen, or not kept, become `<unk>`.

    Args:
        texts: what to learn pieces from; of a translation task, both languages.
        size: entries at most.
        max_length: the model's positions.

    Raises:
        ModelError: no word in `texts`, or a size without room for pieces.
    """
    from tokenizers import Tokenizer, decoders
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = _words(texts)
    if not words:
        raise ModelError("a tokenizer cannot be trained: the texts contain no words")
    room = size - len(SPECIAL)
    if room < 1:
        raise ModelError(f"a vocabulary of {size} has no room besides {len(SPECIAL)} special tokens; make it larger")
    inner = Tokenizer(_unigram(_pieces(words, room)))
    inner.normalizer, inner.pre_tokenizer = _splitters()
    inner.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    ends = SPECIAL["eos"]
    inner.post_processor = TemplateProcessing(
        single=f"$A {ends}", pair=f"$A {ends} $B {ends}", special_tokens=[(ends, inner.token_to_id(ends))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in SPECIAL.items()},
    )


def _splitters() -> tuple[Any, Any]:
    """What makes white space single, and what cuts at spaces and around each punctuation mark."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    return normalizer, pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
            pre_tokenizers.Punctuation(),
        ]
    )


def _words(texts: Iterable[str]) -> Counter[str]:
    """Words by count, each with the mark of the space before it, and punctuation marks."""
    normalizer, splitter = _splitters()
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    return words


def _pieces(words: Counter[str], room: int) -> list[tuple[str, float]]:
    """`room` pieces at most with their log probabilities: characters, and the longer ones that are used most."""
    characters: Counter[str] = Counter()
    longer: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            characters[word[start]] += count
            for end in range(start + 2, min(start + LONGEST, len(word)) + 1):
                longer[word[start:end]] += count
        if len(word) > 1:
            longer[word] = max(longer[word], count)
    kept = _most(characters, min(room, max(CHARACTERS, room // 4)))
    for surplus in SURPLUS:
        chosen = _most(longer, int((room - len(kept)) * surplus))
        longer = Counter({piece: longer[piece] for piece in chosen})
        used = _used(words, _scored([*kept, *chosen], characters + longer))
        longer = Counter({piece: used[piece] for piece in chosen if used[piece]})
        characters = Counter({piece: max(1, used[piece]) for piece in kept})
    return _scored([*kept, *_most(longer, room - len(kept))], characters + longer)


def _most(counts: Counter[str], number: int) -> list[str]:
    """The pieces that save most: count times the further characters that they spare; ties in alphabetical order."""
    order = sorted(counts, key=lambda piece: (-counts[piece] * max(1, len(piece) - 1), piece))
    return order[: max(0, number)]


def _scored(pieces: Sequence[str], counts: Counter[str]) -> list[tuple[str, float]]:
    total = sum(counts[piece] for piece in pieces)
    return [(piece, math.log(counts[piece] / total)) for piece in pieces]


def _used(words: Counter[str], scored: Sequence[tuple[str, float]]) -> Counter[str]:
    """How often each piece is in the most probable segmentation of all words."""
    model = _unigram(scored)
    used: Counter[str] = Counter()
    for word, count in words.items():
        for token in model.tokenize(word):
            used[token.value] += count
    return used


def _unigram(scored: Sequence[tuple[str, float]]) -> Any:
    from tokenizers.models import Unigram

    special = [(token, 0.0) for token in SPECIAL.values()]
    return Unigram([*special, *scored], unk_id=list(SPECIAL).index("unk"), byte_fallback=False)
