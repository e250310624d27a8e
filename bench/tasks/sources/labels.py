"""What the values of a label column mean: classes by name or index, scores, and right ones among choices."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import DataError
from bench.spec.data import TableData
from bench.tasks.sources.decoding import lines_of, read_text

Label = int | float | tuple[int, ...] | None
LabelReader = Callable[[Any, str, Sequence[str]], Label]  # the value, where it is, and the row's choices
_SHOWN = 12  # names of classes that a message lists


def spelled(value: Any) -> str:
    """A value of a label column as text: true, false and null as in JSON, whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def class_reader(data: TableData, names: Sequence[str], order: Sequence[str], *, coded: bool = False) -> LabelReader:
    """A reader of class labels as indices into `names`, the task's order; a list of several gives a tuple.

    `order` gives the order of the data's own indices. With `coded` the file itself says that its whole numbers are
    these indices. Without, no index is read if a class is called by a number: 1 of the classes 1 to 5 is the first.
    The reader raises `DataError` for a label that is neither.
    """
    known: dict[str, int | None] = dict.fromkeys(data.hidden)
    if not any(name.isdecimal() for name in names):
        known |= {str(index): names.index(name) for index, name in enumerate(order) if name in names}
    known |= {name: index for index, name in enumerate(names)}
    for spelling, name in data.label_names.items():
        if name not in names:
            raise DataError(f"label_names: {spelling!r} is to be '{name}', but the labels are {_few(names)}")
        known[spelling] = names.index(name)

    def read(value: Any, where: str, choices: Sequence[str]) -> Label:
        if isinstance(value, list):
            found = {read(each, where, choices) for each in value}
            return tuple(sorted(index for index in found if isinstance(index, int)))
        text = spelled(value)
        if coded and isinstance(value, int) and 0 <= value < len(order) and text not in data.label_names:
            text = order[value]
        if text not in known:
            if _is_none(value):
                raise DataError(
                    f"{where}: the row has no label. Fill it in, or remove the row; if labels are kept back, put them "
                    f'among the hidden ones: hidden = ["{text}"].'
                )
            raise _unknown(value, text, where, order or names, [*names, *data.label_names])
        return known[text]

    return read


def _is_none(value: Any) -> bool:
    """Whether a field is empty, which is no class unless the suite says so."""
    return value is None or (isinstance(value, str) and not value.strip())


def score_reader(data: TableData) -> LabelReader:
    """A reader of scores within the data's range; it raises `DataError` for what is not a number, or out of range."""
    hidden = {float(each) for each in data.hidden if _number(each) is not None}
    least, most = data.scores or (-math.inf, math.inf)
    expected = f"a number from {least} to {most}" if data.scores else "a finite number"

    def read(value: Any, where: str, choices: Sequence[str]) -> Label:
        del choices
        number = _number(value)
        if number is not None and number in hidden:
            return None
        if number is None or not least <= number <= most or not math.isfinite(number):
            raise DataError(f"{where}: unknown score {value!r}. Expected {expected}{_score_advice(value, number)}.")
        return number

    return read


def _score_advice(value: Any, number: float | None) -> str:
    if number is not None or not isinstance(value, str) or not value.strip():
        return ""
    if _number(value.replace(",", ".")) is not None:
        return ", with a point before the decimals"
    return "; if the column holds classes, the task is a classification (--label)"


def choice_reader(data: TableData) -> LabelReader:
    """A reader of the right choice as its index, from an index or its text; a list of several gives a tuple."""

    def read(value: Any, where: str, choices: Sequence[str]) -> Label:
        if isinstance(value, list):
            found = {read(each, where, choices) for each in value}
            return tuple(sorted(index for index in found if isinstance(index, int)))
        text = spelled(value)
        text = data.label_names.get(text, text)
        if text in data.hidden:
            return None
        if text.isdecimal() and int(text) < len(choices):
            return int(text)
        if text in choices:
            return choices.index(text)
        raise DataError(
            f"{where}: unknown label {value!r}. Expected the index of a choice, 0 to {len(choices) - 1}, or its text. "
            f'If the data call an index otherwise, say which: label_names = {{ "{text}" = "0" }}.'
        )

    return read


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _unknown(value: Any, text: str, where: str, order: Sequence[str], names: Sequence[str]) -> DataError:
    near = difflib.get_close_matches(text, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    numbered = [f"{name} ({index})" for index, name in enumerate(order)]
    return DataError(f"{where}: unknown label {value!r}. Expected one of {_few(numbered)}.{hint}")


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def listed_labels(path: Path, *, name: str) -> tuple[str, ...]:
    """The labels that a file lists, as a JSON list or one per line; raises `DataError` if it holds anything else."""
    text = read_text(path, name=name)
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise DataError(f"{name}: not valid JSON: {error}") from error
    else:
        found = [line.strip() for line in lines_of(text)]
    if not found or not all(isinstance(each, str) and each for each in found):
        raise DataError(f"{name}: expected the names of the labels, as a JSON list or one per line")
    twice = sorted({each for each in found if found.count(each) > 1})
    if twice:
        raise DataError(f"{name}: {_few(twice)} is listed twice")
    return tuple(found)


def names_in(values: Iterable[Any], data: TableData) -> tuple[str, ...]:
    """The names of the classes among the values of a label column, sorted; numbers by size."""
    found: set[str] = set()
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            text = spelled(each)
            if text not in data.hidden and (text in data.label_names or not _is_none(each)):
                found.add(data.label_names.get(text, text))
    return tuple(sorted(found, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)))
