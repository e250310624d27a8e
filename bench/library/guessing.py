"""Which column of a file is the text, the label or the answer, by the columns' usual names and by what is in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from bench.library.glimpse import Glimpse, Spec

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
Choices = Literal["sought", "named", "none"]  # whether columns of candidates are to be found
_CANDIDATES = ("choice", "option", "alternative", "candidate", "ending", "answer", "solution", "sol", "hypothesis")
_CANDIDATE = re.compile(rf"({'|'.join(_CANDIDATES)})[ _-]?([0-9]|[a-e])")
_LISTS = ("choices", "options", "alternatives", "candidates", "endings", "solutions")
_BEFORE_CHOICES = ("premise", "context", "passage", "paragraph", "article", "ctx", "goal")
_RIGHT = (*_LABELS, "answer", "correct", "gold")
_FEW = 0.5  # a column is a class if it has at most this many different values per row
_BY_NAME = "by its name"


class Guess(NamedTuple):
    """A column that is taken for something, or several of which each is a candidate, and why."""

    column: Spec
    why: str

    @property
    def says(self) -> str:
        """What is taken, as a sentence begins."""
        if isinstance(self.column, str):
            return f"column '{self.column}' is"
        *first, last = (f"'{each}'" for each in self.column)
        return f"columns {', '.join(first)} and {last} are"


def guess(
    seen: Glimpse,
    *,
    taken: Collection[str] = (),
    by_values: bool = False,
    choices: Choices = "sought",
) -> dict[str, Guess]:
    """What columns are, by the command's option: `text`, `pair`, `choice`, `label`, `score`, `answer` or `start`.

    Columns in `taken` are left out. Usual names count, of a nested field its last part; with `by_values`, what is in
    the columns if no name does. Columns of candidates are `sought`, or `named` already, or the task has `none`.
    """
    free = [column for column in seen.columns if column not in taken]
    named = {column.rpartition(".")[2].strip().lower(): column for column in reversed(free)}
    listed = _choices(seen, named) if choices == "sought" else ()
    by_name = _beside_choices(named) if listed or choices == "named" else _by_name(named)
    found = {option: Guess(column, _BY_NAME) for option, column in by_name.items()}
    if listed:
        found["choice"] = Guess(listed, _BY_NAME if isinstance(listed, str) else "by their names")
    if by_values:
        for option, guessed in _by_values(seen, [column for column in free if column not in _columns(found)]):
            if option not in found and not (option == "label" and "answer" in found):
                found[option] = guessed
    label = found.get("label")
    if label is not None and isinstance(label.column, str) and are_scores(seen.values(label.column)):
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
    specs = [each.column for each in found.values()]
    return {column for spec in specs for column in ((spec,) if isinstance(spec, str) else spec)}


def _choices(seen: Glimpse, named: Mapping[str, str]) -> Spec:
    """The columns of candidates, such as choice1 and choice2, or the one that lists them; empty if there are none."""
    by_stem: dict[str, list[str]] = {}
    for name in sorted(named):
        found = _CANDIDATE.fullmatch(name)
        if found:
            by_stem.setdefault(found[1], []).append(named[name])
    several = next((tuple(columns) for stem in _CANDIDATES if len(columns := by_stem.get(stem, [])) > 1), ())
    lists = (named[name] for name in _LISTS if name in named)
    return several or next((column for column in lists if _is_list(seen.rows[0].get(column))), "")


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _by_name(named: Mapping[str, str]) -> dict[str, str]:
    context, answer = _first(_CONTEXTS, named), _first(_ANSWERS, named)
    if context and answer and "question" in named:
        wanted = {"text": "question", "pair": context, "answer": answer, "start": _first(_STARTS, named)}
    else:
        pair = next((pair for pair in _PAIRS if set(pair) <= set(named)), None)
        wanted = {"text": pair[0] if pair else _first(_TEXTS, named), "pair": pair[1] if pair else None}
        wanted["label"] = _first(_LABELS, named)
    return {option: named[name] for option, name in wanted.items() if name is not None}


def _beside_choices(named: Mapping[str, str]) -> dict[str, str]:
    """What is read beside candidates: a text, perhaps with a question that they answer; and which one is right."""
    text = _first(_BEFORE_CHOICES, named)
    question = "question" if text and "question" in named else None
    wanted = {"text": text or _first(_TEXTS, named), "pair": question, "label": _first(_RIGHT, named)}
    return {option: named[name] for option, name in wanted.items() if name is not None}


def _first(names: Sequence[str], there: Collection[str]) -> str | None:
    return next((name for name in names if name in there), None)


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
