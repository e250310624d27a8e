"""Reference answers in the forms in which data sets give them: SQuAD's lists, the hub's columns, or plain strings."""

from __future__ import annotations

from typing import Any

from bench.base.errors import DataError
from bench.tasks.examples import Answer

NONE = (Answer("", 0),)  # what a question without an answer in its context has


def read_answers(value: Any, context: str | None, where: str, *, start: Any = None) -> tuple[tuple[Answer, ...], int]:
    """The answers, and of how many the start was looked up in the context because the data do not give it.

    Args:
        value: a list of texts or of tables with `text` and `answer_start`; a table of two such lists; or one text.
        context: where the answers stand, None if they stand in no text (their start is 0 then).
        where: file and line, for messages.
        start: the character at which the one text starts, if the data give it beside it.

    Raises:
        DataError: another form, a start that is no whole number, or an answer without a start that is not in the
            context.
    """
    if isinstance(value, str):
        pairs = [(value, start)] if value or start is not None else []
    elif isinstance(value, dict):
        pairs = _columns(value, where)
    elif isinstance(value, list):
        pairs = [(each, None) if isinstance(each, str) else _entry(each, where) for each in value]
    else:
        raise DataError(f"{where}: answers are {value!r}; expected text, a list, or a table with text and answer_start")
    found = [_placed(text, begin, context, where) for text, begin in pairs]
    return tuple(found), sum(begin is None and context is not None for _, begin in pairs)


def _columns(value: dict[str, Any], where: str) -> list[tuple[Any, Any]]:
    texts, starts = value.get("text"), value.get("answer_start")
    if not isinstance(texts, list):
        return [_entry(value, where)]
    starts = [None] * len(texts) if starts is None else starts
    if len(starts) != len(texts):
        raise DataError(f"{where}: {len(texts)} answers, but {len(starts)} values of answer_start")
    return list(zip(texts, starts, strict=True))


def _entry(value: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise DataError(f"{where}: an answer is {value!r}; expected text, or a table with text and answer_start")
    return value["text"], value.get("answer_start")


def _placed(text: str, begin: Any, context: str | None, where: str) -> Answer:
    if context is None:
        return Answer(text, 0)
    if begin is None:
        place = context.find(text)
        if place < 0:
            raise DataError(f"{where}: the answer {text!r} is not in its context, word for word")
        return Answer(text, place)
    try:
        return Answer(text, int(begin))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: the answer {text!r} starts at {begin!r}; expected a whole number") from error
