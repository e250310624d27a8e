"""Built-in architectures with fresh weights and a tokenizer trained on the task's own texts: nothing to download."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import ModelError
from bench.models.source import ModelSource, label_settings

if TYPE_CHECKING:
    from torch import nn

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHARACTERS = 100  # most frequent characters kept as pieces, each as a word's start and as its continuation


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """One built-in architecture: its `config.model_type`, the settings that differ from its defaults, vocabulary."""

    title: str
    model_type: str
    settings: dict[str, Any]
    vocabulary: int  # entries at most, special tokens included
    version: int = 1  # raised when the tokenizer's or the weights' making changes


BUILTINS: dict[str, Builtin] = {
    "demo-bert": Builtin(
        title="a BERT of 4 layers, width 64, for demonstrations",
        model_type="bert",
        settings={
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "max_position_embeddings": 128,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.08,  # 0.02 starts too flat for a model this narrow
        },
        vocabulary=2000,
    ),
}


@dataclass(frozen=True, kw_only=True)
class BuiltinSource(ModelSource):
    """A model of `BUILTINS`; it has no pretrained weights, so `pretrained` makes no difference."""

    def fingerprint(self) -> str:
        """SHA-256 of the definition; what its tokenizer is trained on is the caller's to add."""
        definition = vars(BUILTINS[self.name])
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()

    def tokenizer(self, texts: Callable[[], Iterable[str]]) -> Any:
        """A lower-casing WordPiece tokenizer over the most frequent words and characters of `texts()`."""
        definition = BUILTINS[self.name]
        return train_tokenizer(
            texts(), size=definition.vocabulary, max_length=definition.settings["max_position_embeddings"]
        )

    def build(
        self,
        *,
        head: str,
        labels: Sequence[str] | None,
        tokenizer: Any,
        seed: int,
        depth: int | None = None,
        pretrained: bool = True,
    ) -> nn.Module:
        """Random weights, drawn on the CPU from `seed` alone; see `ModelSource.build`."""
        import torch
        from transformers import AutoConfig

        from bench.models.heads import from_config

        definition = BUILTINS[self.name]
        if depth is not None and depth < 1:
            raise ModelError(f"{self.name}: depth {depth}: an encoder needs at least one layer")
        settings = {**definition.settings, **label_settings(head, labels)}
        settings["num_hidden_layers"] = depth or settings["num_hidden_layers"]
        config = AutoConfig.for_model(
            definition.model_type, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **settings
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return from_config(config, head).float().eval()


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
        raise ModelError("a tokenizer cannot be trained: the texts hold no word")
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
