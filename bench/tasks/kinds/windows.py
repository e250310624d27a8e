"""Questions with their contexts cut into overlapping windows that fit a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.features import Feature

_QUESTION_TOKENS = 64  # the longest question kept, as in BERT's run_squad.py (google-research/bert)
# Tokens two neighbouring windows share: doc_stride of run_qa.py in transformers, whose doc_stride of 128 is an overlap.
# In BERT's run_squad.py the same number is the step from one window to the next, so its windows overlap more.
_OVERLAP_TOKENS = 128
_LEAST_LENGTH = 16


def encode_windows(examples: Sequence[Example], tokenizer: Any, *, where: str, max_length: int) -> list[Feature]:
    """Features without targets, one per window, in the order of the examples and of the text.

    A window is the question, cut to 64 tokens or a third of `max_length`, and as much context as fits. Neighbouring
    windows share 128 tokens of context or a third of `max_length`, whichever is smaller: 128 at SQuAD's usual 384, as
    in run_qa.py of transformers.

    Raises:
        DataError: an example without context, or a `max_length` below 16.
    """
    if max_length < _LEAST_LENGTH:
        raise DataError(f"{where}: max_length {max_length} leaves no room for a context. Use {_LEAST_LENGTH} or more.")
    if not examples:
        return []
    contexts = []
    for example in examples:
        if example.pair is None:
            raise DataError(f"{where}: example {example.uid} has no context; span QA expects one as its second text")
        contexts.append(example.pair)
    encoded = tokenizer(
        _short_questions(examples, tokenizer, limit=min(_QUESTION_TOKENS, max_length // 3)),
        contexts,
        truncation="only_second",
        max_length=max_length,
        stride=min(_OVERLAP_TOKENS, max_length // 3),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False,
    )
    names = [name for name in encoded if name not in ("offset_mapping", "overflow_to_sample_mapping")]
    return [
        Feature(
            inputs={name: encoded[name][row] for name in names},
            targets={},
            example=encoded["overflow_to_sample_mapping"][row],
            offsets=tuple(
                (start, end) if part == 1 else None
                for part, (start, end) in zip(encoded.sequence_ids(row), encoded["offset_mapping"][row], strict=True)
            ),
        )
        for row in range(len(encoded["input_ids"]))
    ]


def answer_tokens(window: Feature, start: int, end: int) -> tuple[int, int] | None:
    """First and last token of the context's characters [start, end); None if the window does not hold them all."""
    inside = [
        token
        for token, span in enumerate(window.offsets or ())
        if span is not None and span[0] < end and span[1] > start
    ]
    if not inside or window.offsets is None:
        return None
    first, last = window.offsets[inside[0]], window.offsets[inside[-1]]
    if first is None or last is None or first[0] > start or last[1] < end:
        return None
    return inside[0], inside[-1]


def _short_questions(examples: Sequence[Example], tokenizer: Any, *, limit: int) -> list[str]:
    """The questions, each cut after `limit` tokens: only the context may be truncated by the windows."""
    questions = [example.text.strip() for example in examples]
    offsets = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True, padding=False)[
        "offset_mapping"
    ]
    return [
        question if len(spans) <= limit else question[: spans[limit - 1][1]]
        for question, spans in zip(questions, offsets, strict=True)
    ]
