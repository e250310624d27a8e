"""A lower-casing WordPiece tokenizer for encoders, trained on the task's own texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from bench.base.errors import ModelError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHARACTERS = 100  # most frequent characters kept as pieces, each as a word's start and as its continuation


def train_tokenizer(texts: Iterable[str], *, size: int, max_length: int) -> Any:
    """A BERT tokenizer whose vocabulary depends on `texts` alone.

    The vocabulary is the special tokens, the most frequent characters and then the most frequent words, ties in
    alphabetical order. (The trainer of `tokenizers` numbers some pieces in the order of a hash map.)

    Args:
        texts: what to count words in.
        size: entries at most.
        max_length: the model's positions.

    Raises:
        ModelError: no word in `texts`.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    if not words:
        raise ModelError("a tokenizer cannot be trained: the texts contain no words")
    vocabulary = {piece: index for index, piece in enumerate(_pieces(words, size))}
    inner = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizer, splitter
    inner.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL},
    )


def _pieces(words: Counter[str], size: int) -> list[str]:
    """Special tokens, characters as start and as continuation, then words, `size` at most, without repeats."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    kept = _by_count(characters)[:CHARACTERS]
    pieces = [*SPECIAL, *kept, *(f"##{character}" for character in kept), *_by_count(words)]
    return list(dict.fromkeys(pieces))[:size]


def _by_count(counter: Counter[str]) -> list[str]:
    return sorted(counter, key=lambda key: (-counter[key], key))
