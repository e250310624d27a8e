"""What a model can be given, by its configuration alone: how many words, positions and segments it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bench.base.errors import ModelError

Segments = Literal["given", "added", "left out", "none"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of one model's inputs.

    `rows` are those of the word embedding, None if the vocabulary is made for the task; `positions` the most tokens of
    a text, None without a limit; `segments` how many kinds of them `token_type_ids` may name, 0 if it takes none;
    `padding_id` the token that is skipped in counting positions, None for architectures that count every token.
    """

    rows: int | None
    positions: int | None
    segments: int
    padding_id: int | None


def limits_of(config: Any) -> Limits:
    """The limits of a configuration; of two halves, the narrower counts, and neither is given segments."""
    halves = [
        getattr(config, name) for name in ("encoder", "decoder") if hasattr(getattr(config, name, None), "to_dict")
    ]
    parts = halves or [config]
    return Limits(
        rows=min(int(part.vocab_size) for part in parts),
        positions=positions_of(config),
        segments=0 if halves else int(getattr(config, "type_vocab_size", 0) or 0),
        padding_id=next((skipped for part in parts if (skipped := _skipped(part)) is not None), None),
    )


def positions_of(config: Any) -> int | None:
    """The most tokens of a text that a model of `config` can read; None without a limit.

    RoBERTa numbers its first token `pad_token_id` + 1, so its table of 514 rows holds 512 tokens
    (`create_position_ids_from_input_ids` in fairseq and transformers).
    """
    halves = [getattr(config, name, None) for name in ("encoder", "decoder")]
    parts = [part for part in halves if hasattr(part, "max_position_embeddings")] or [config]
    return min((rows for rows in map(_own_positions, parts) if rows is not None), default=None)


def _own_positions(config: Any) -> int | None:
    rows = getattr(config, "max_position_embeddings", None)
    if not rows:
        return None
    skipped = _skipped(config)
    return int(rows) - (0 if skipped is None else skipped + 1)


def _skipped(config: Any) -> int | None:
    """The token that a model of `config` skips in counting positions; None if it counts every token."""
    from bench.models.adapter import ADAPTERS

    name = getattr(config, "model_type", None)
    return ADAPTERS.get(name)().skipped_id(config) if name in ADAPTERS.names() else None


def require_words(tokenizer: Any, limits: Limits, *, where: str) -> None:
    """Raise `ModelError` if `tokenizer` knows special tokens only, so that all texts look alike to a model."""
    if set(tokenizer.get_vocab().values()) <= set(tokenizer.all_special_ids):
        raise ModelError(
            f"{where}: a check before training failed: the tokenizer has {len(tokenizer)} entries, all of them special "
            f"tokens, but the embedding has {limits.rows} rows. Its vocabulary is missing or empty: save the model's "
            "own tokenizer.json, vocab.txt, vocab.json with merges.txt, or spiece.model with its configuration."
        )
    try:
        tokenizer("\N{SYMBOL FOR NULL}")  # which hardly a vocabulary has
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(
            f"{where}: a check before training failed: the tokenizer fails on unknown words: {error}. Add the unknown "
            f"token of its settings to its vocabulary."
        ) from error


def choose_segments(tokenizer: Any, limits: Limits) -> Segments:
    """How a model's segment ids come to it, by what its tokenizer gives and its embedding of segments has.

    "given" by the tokenizer; "added", since the tokenizer's template knows two segments and only does not give them;
    "left out", since the model has none or one (it then sees one segment, as in transformers' own forward pass);
    "none", since neither has them or the template knows only one.
    """
    gives = "token_type_ids" in tokenizer.model_input_names
    if limits.segments < 2:
        return "left out" if gives else "none"
    if 1 not in tokenizer("a", "a", return_token_type_ids=True)["token_type_ids"]:
        return "none"
    return "given" if gives else "added"


def with_segments(tokenizer: Any, choice: Segments) -> Any:
    """`tokenizer`, in place, giving segment ids as `choose_segments` chose."""
    others = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    if choice == "added":
        tokenizer.model_input_names = [*others, "token_type_ids"]
    elif choice == "left out":
        tokenizer.model_input_names = others
    return tokenizer
