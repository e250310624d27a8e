"""Which column of a file is the text, the label or the answer, by the columns' usual names and by what is in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.library.glimpse import Glimpse

_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("question", "sentence"),
)
_TEXTS = (
    *("text", "sentence", "message", "content", "utterance", "query", "question", "review", "comment", "tweet"),
    *("body", "description", "document", "sms", "email"),
)
_CONTEXTS = ("context", "passage", "paragraph")
_ANSWERS = ("answers", "answer")
_STARTS = ("answer_start", "start")
_LABELS = (
    *("label", "labels", "category", "class", "intent", "target", "sentiment", "topic", "gold_label", "label_text"),
    *("rating", "score", "similarity", "y"),
)
_FEW = 0.5  # a column is a class if it has at most this many different values per row
_BY_NAME = "by its name"


class Guess(NamedTuple):
    """A column that is taken for something, and why."""

    column: str
    why: str


def guess(seen: Glimpse, *, taken: Collection[str] = (), by_values: bool = False) -> dict[str, Guess]:
    """What columns are, by the command's option for it: `text`, `pair`, `label`, `score`, `answer` or `start`.

    Columns in `taken` are left out. Usual names count, of a nested field its last part; with `by_values`, what is in
    the columns if no name does.
    """
    free = [column for column in seen.columns if column not in taken]
    named = {column.rpartition(".")[2].strip().lower(): column for column in reversed(free)}
    found = {option: Guess(column, _BY_NAME) for option, column in _by_name(named).items()}
    if by_values:
        for option, guessed in _by_values(seen, [column for column in free if column not in _columns(found)]):
            if option not in found and not (option == "label" and "answer" in found):
                found[option] = guessed
    label = found.get("label")
    if label is not None and are_scores(seen.values(label.column)):
        found["score"] = found.pop("label")._replace(why=f"{label.why}; its values are numbers with decimals")
    return found


def are_scores(values: Sequence[str]) -> bool:
    """Whether values are scores: numbers, of which one at least is not whole."""
    numbers = [_number(value) for value in values]
    return bool(numbers) and None not in numbers and any(each is not None and each != int(each) for each in numbers)


def lacks_header(seen: Glimpse) -> bool:
    """Whether the first line is a row rather than names: one field of it is a number, or a value further down."""
    return any(_number(name) is not None or name in seen.values(name) for name in seen.columns)


def _columns(found: Mapping[str, Guess]) -> set[str]:
    return {each.column for each in found.values()}


def _by_name(named: Mapping[str, str]) -> dict[str, str]:
    def first(names: Sequence[str]) -> str | None:
        return next((name for name in names if name in named), None)

    context, answer = first(_CONTEXTS), first(_ANSWERS)
    if context and answer and "question" in named:
        wanted = {"text": "question", "pair": context, "answer": answer, "start": first(_STARTS)}
    else:
        pair = next((pair for pair in _PAIRS if set(pair) <= set(named)), None)
        wanted = {"text": pair[0] if pair else first(_TEXTS), "pair": pair[1] if pair else None}
        wanted["label"] = first(_LABELS)
    return {option: named[name] for option, name in wanted.items() if name is not None}


def _by_values(seen: Glimpse, free: Sequence[str]) -> Iterator[tuple[str, Guess]]:
    """The text is the column of the longest values, the label the one of the fewest different ones."""
    filled = {column: values for column in free if (values := seen.values(column))}
    lengths = {column: sum(map(len, values)) / len(values) for column, values in filled.items()}
    if not lengths:
        return
    text = max(lengths, key=lambda column: lengths[column])
    yield "text", Guess(text, f"its values are the longest, {lengths[text]:.0f} characters on average")
    different = {column: len(set(values)) for column, values in filled.items()}
    few = [column for column in filled if 2 <= different[column] <= max(2, _FEW * len(filled[column]))]
    few = [column for column in few if column != text or len(few) == 1]
    if few:
        label = min(few, key=lambda column: different[column])
        yield "label", Guess(label, f"it has {different[label]} different values in {len(filled[label])} rows")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
