"""Whether model, tokenizer and the texts of a task fit each other, found out before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.base.errors import ModelError
from bench.models.builtin import TOKENS
from bench.models.checkpoint import CheckpointSource
from bench.models.limits import Limits, Segments, with_segments
from bench.models.source import ModelSource
from bench.spec.suite import Suite, Task
from bench.tasks.examples import Example, TaskData

SAMPLE = 1000  # examples of each split whose texts are read, evenly spread
WARN_ABOVE = 0.05  # share of unknown tokens, or of characters that no known token holds
REFUSE_ABOVE = 0.9
_FAILED = "a check before training failed"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What was found: `conditions` for the record, and `warnings` as (code, sentence) pairs, also those of the data.

    `segments` says how the model's segment ids come to it; see `bench.models.limits.choose_segments`.
    """

    conditions: dict[str, Any]
    warnings: tuple[tuple[str, str], ...] = ()
    segments: Segments = "none"


class Unread(NamedTuple):
    """How much of some texts a tokenizer does not know: shares in [0, 1], and of how many texts.

    `tokens` is the share of the unknown token among all tokens, special ones left out; `characters` the share of the
    characters, white space left out, that are in an unknown token or in none: some tokenizers drop what they lack.
    """

    tokens: float
    characters: float
    texts: int


def examine(
    source: ModelSource,
    suite: Suite,
    data: Sequence[tuple[Task, TaskData]],
    *,
    also: Sequence[Task] = (),
    called: str | None = None,
) -> Fit:
    """Check the model against the setting and against the texts of some tasks.

    Args:
        source: the model.
        suite: its setting says how long inputs are.
        data: the tasks whose texts are read, training and evaluation splits alike.
        also: further tasks that are trained on, of which only the length is checked.
        called: the model's name in records, which warnings use; None is the source's.

    Raises:
        ModelError: inputs longer than the model's positions, no padding token, more tokens than the embedding has rows,
            a tokenizer that knows no word or nearly none of these texts, or segment ids beyond the model's.
    """
    limits, name = source.limits(), called or source.name
    told = tuple(dict.fromkeys(warning for _, each in data for warning in each.warnings))
    for task in [*(task for task, _ in data), *also]:
        _check_length(source, limits, suite, task)
    if not isinstance(source, CheckpointSource):
        _check_measured_length(source, limits.positions or TOKENS, suite)
        trained = "the tokenizer is trained on the task's own texts"
        return Fit(conditions={"positions": limits.positions, "unknown_tokens_absent": trained}, warnings=told)
    _check_measured_length(source, limits.positions, suite)
    tokenizer = source.stored_tokenizer()
    _check_tokenizer(source, limits, tokenizer)
    _check_measured_length(source, tokenizer.model_max_length, suite)
    warnings = _padding_warnings(name, limits, tokenizer)
    segments = source.segments(tokenizer)
    with_segments(tokenizer, segments)
    paired = any(example.paired for example in _sampled(data))
    if paired and segments == "none" and limits.segments > 1:
        warnings.append(_no_segments(name, limits))
    unread = unread_share(tokenizer, [text for example in _sampled(data) for text in example.texts])
    warnings += _unknown_warnings(name, limits, tokenizer, unread, data)
    if segments == "given":
        _check_segment_ids(source, limits, tokenizer, data)
    return Fit(
        conditions={
            "tokenizer_entries": len(tokenizer),
            "embedding_rows": limits.rows,
            "positions": limits.positions,
            "segment_ids": segments,
            "unknown_tokens": unread.tokens,
            "unread_characters": unread.characters,
            "texts_read": unread.texts,
        },
        warnings=(*warnings, *told),
        segments=segments,
    )


def unread_share(tokenizer: Any, texts: Sequence[str]) -> Unread:
    """How much of `texts` the tokenizer does not know; nothing of no text is unknown."""
    if not texts:
        return Unread(0.0, 0.0, 0)
    encoded = tokenizer(
        list(texts), add_special_tokens=False, return_offsets_mapping=True, padding=False, truncation=False
    )
    tokens = unknown = characters = read = 0
    for text, ids, spans in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        known = bytearray(len(text))
        for token, (start, end) in zip(ids, spans, strict=True):
            if token == tokenizer.unk_token_id:
                unknown += 1
            else:
                known[start:end] = b"\1" * (end - start)
        tokens += len(ids)
        visible = [place for place, character in enumerate(text) if not character.isspace()]
        characters += len(visible)
        read += sum(known[place] for place in visible)
    lost = (characters - read) / characters if characters else 0.0
    return Unread(unknown / tokens if tokens else 0.0, lost, len(texts))


def _sampled(data: Sequence[tuple[Task, TaskData]]) -> Iterator[Example]:
    """Up to `SAMPLE` examples of every split, evenly spread."""
    for _, each in data:
        for split in each.splits.values():
            step = max(1, -(-len(split) // SAMPLE))
            yield from split[::step]


def _check_length(source: ModelSource, limits: Limits, suite: Suite, task: Task) -> None:
    length = suite.max_length(task)
    if limits.positions is not None and length > limits.positions:
        key = f"{task.name}.max_length" if task.max_length else "max_length"
        raise ModelError(
            f"{source.name}: {_FAILED}: task {task.name} has max_length {length}, but the model takes at most "
            f"{limits.positions} tokens. Shorten the texts with --set {key}={limits.positions}, or choose a model with "
            "more positions."
        )


def _check_measured_length(source: ModelSource, most: int | None, suite: Suite) -> None:
    length = suite.setting.measuring.length
    if most is not None and length > most:
        raise ModelError(
            f"{source.name}: {_FAILED}: measuring.length is {length}, but the model takes at most {most} tokens. "
            f"Lower it with --set measuring.length={most}, or choose a model with more positions."
        )


def _check_tokenizer(source: CheckpointSource, limits: Limits, tokenizer: Any) -> None:
    """Entries and rows, and a token to pad with; a tokenizer without words is refused when it is read."""
    highest = max(tokenizer.get_vocab().values(), default=0)
    if limits.rows is not None and highest >= limits.rows:
        raise ModelError(
            f"{source.name}: {_FAILED}: the tokenizer has {len(tokenizer)} tokens, the highest with the id {highest}, "
            f"but the embedding has {limits.rows} rows. Its files belong to another model: save the model's own."
        )
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"{source.name}: {_FAILED}: the tokenizer has no padding token, so texts cannot stand in one batch. Name "
            'one in tokenizer_config.json, for example "pad_token": "[PAD]".'
        )


def _padding_warnings(name: str, limits: Limits, tokenizer: Any) -> list[tuple[str, str]]:
    if limits.padding_id is None or limits.padding_id == tokenizer.pad_token_id:
        return []
    skipped = tokenizer.convert_ids_to_tokens(limits.padding_id)
    says = (
        f"{name} gives token {limits.padding_id} ('{skipped}') no position of its own, since its configuration "
        f"calls it padding, but its tokenizer pads with token {tokenizer.pad_token_id}. Check that the tokenizer "
        "belongs to the model."
    )
    return [("padding-differs", says)]


def _no_segments(name: str, limits: Limits) -> tuple[str, str]:
    return (
        "no-segment-ids",
        f"{name} has {limits.segments} kinds of segments, but its tokenizer does not tell the two texts of a "
        "pair apart, so both are read as the first. Check that the tokenizer belongs to the model.",
    )


def _check_segment_ids(
    source: CheckpointSource, limits: Limits, tokenizer: Any, data: Sequence[tuple[Task, TaskData]]
) -> None:
    example = next((example for example in _sampled(data) if example.paired), None)
    highest = max(tokenizer("a", None if example is None else "a")["token_type_ids"], default=0)
    if highest >= limits.segments:
        raise ModelError(
            f"{source.name}: {_FAILED}: the tokenizer gives the segment id {highest}, but the model has only "
            f"{limits.segments} kinds of segments. Its files belong to another model: save the model's own."
        )


def _unknown_warnings(
    name: str, limits: Limits, tokenizer: Any, unread: Unread, data: Sequence[tuple[Task, TaskData]]
) -> list[tuple[str, str]]:
    worst = max(unread.tokens, unread.characters)
    if worst <= WARN_ABOVE:
        return []
    names = ", ".join(dict.fromkeys(task.name for task, _ in data))
    found = (
        f"{unread.tokens:.1%} of the tokens of {names} are unknown to the tokenizer of {name}, and "
        f"{unread.characters:.1%} of the characters are in no token that it knows"
    )
    if worst > REFUSE_ABOVE:
        raise ModelError(
            f"{name}: {_FAILED}: {found}. The tokenizer has {len(tokenizer)} entries, the embedding "
            f"{limits.rows} rows. Save the model's own tokenizer beside it, or choose a model of the texts' language."
        )
    return [
        (
            "unknown-tokens",
            f"{found}: more than {WARN_ABOVE:.0%}. Check that tokenizer, model and texts belong together.",
        )
    ]
