"""Which columns of a user's own file are text, label and the other roles of a task, and what kind that makes."""

from __future__ import annotations

from collections.abc import Mapping

from bench.base.errors import BenchError, SuiteError, unknown
from bench.library.glimpse import COUNTED, Glimpse
from bench.library.guessing import guess, lacks_header
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.sources.rows import other_delimiter

_KINDS = {  # the option that names what is to be predicted -> the kind of task
    "label": "classification",
    "score": "regression",
    "answer": "span_qa",
    "target": "translation",
}
_ROLES = {"score": "label", "answer": "answers"}  # where a column has another name as an option than as a role
_OPTIONS = ("text", "pair", "label", "score", "answer", "start", "target", "group")


def choose_columns(
    seen: Glimpse, named: Mapping[str, str], *, kind: str | None, by_values: bool
) -> tuple[dict[str, str], list[str]]:
    """Columns by option, and sentences about those that nobody named.

    Args:
        seen: the file to train on.
        named: columns by option (`label`), as the user gives them.
        kind: of the task, if it was given; then only what it needs is guessed.
        by_values: also guess by what is in columns.

    Raises:
        UnknownNameError: there is no such column. SuiteError: options contradict each other, or a column has to be
            named; the message shows the columns.
    """
    if not seen.header:
        named = {option: COUNTED.format(column) if column.isdigit() else column for option, column in named.items()}
    for option, column in named.items():
        if not seen.has(column):
            raise _no_column(seen, option, column)
    predicted = [option for option in _KINDS if option in named]
    if len(predicted) > 1 and kind is None:
        raise SuiteError(f"--{predicted[0]} with --{predicted[1]}: a task predicts one of them. Leave out the other.")
    guessed = guess(seen, taken=named.values(), by_values=by_values)
    if predicted:  # no other column is predicted then
        guessed = {option: each for option, each in guessed.items() if option not in (*_KINDS, "start")}
    if kind is not None:
        needs = KINDS.get(kind, where="--kind").needs
        guessed = {option: each for option, each in guessed.items() if option not in _KINDS or role_of(option) in needs}
    if "text" in named and "answer" not in (*named, *guessed):
        guessed.pop("pair", None)
    guessed = {option: each for option, each in guessed.items() if option not in named}
    chosen = {**{option: each.column for option, each in guessed.items()}, **named}
    if "text" not in chosen:
        raise _which(seen, "text", "the text")
    if kind is None and not any(option in chosen for option in _KINDS):
        raise _which(seen, "label", "the class (or name a number with --score, an answer with --answer)")
    same = [option for option in predicted or _KINDS if option in chosen and chosen[option] == chosen["text"]]
    if same:
        raise SuiteError(f"--text and --{same[0]} are both the column '{chosen['text']}'; name another one")
    taken = [f"column '{each.column}' is taken as --{option}: {each.why}" for option, each in guessed.items()]
    return {option: chosen[option] for option in _OPTIONS if option in chosen}, taken


def role_of(option: str) -> str:
    """The role in a suite's `columns` of what the command's option names."""
    return _ROLES.get(option, option)


def kind_of(chosen: Mapping[str, str]) -> str:
    """The kind of task that columns by option make."""
    return next(kind for option, kind in _KINDS.items() if option in chosen)


def check_kind(kind: TaskKind, chosen: Mapping[str, str]) -> None:
    """Raise `SuiteError` for a kind whose data need what has no option, or a column that nobody named."""
    if kind.searches:
        raise SuiteError(
            f"--kind {kind.name}: it needs documents and judgements, which only a suite can name (docs/suites.md)"
        )
    roles = {role_of(option) for option in chosen}
    lacking = [role for role in kind.needs if role not in roles]
    if not lacking:
        return
    options = [option for option in _OPTIONS if role_of(option) == lacking[0]]
    how = f"Name the column with --{options[0]}." if options else "Only a suite can name them (docs/suites.md)."
    raise SuiteError(f"--kind {kind.name}: it needs {' and '.join(lacking)}. {how}")


def _which(seen: Glimpse, option: str, what: str) -> SuiteError:
    asked = (
        f"--{option}: which column of {seen.name} is {what}?{_headless(seen, option)}{other_delimiter(seen.columns)}"
    )
    return SuiteError("\n".join([f"{asked} It has", *seen.described()]))


def _no_column(seen: Glimpse, option: str, column: str) -> BenchError:
    error = unknown("column", column, seen.columns, where=f"--{option}: {seen.name}")
    advice = f"{_headless(seen, option)}{other_delimiter(seen.columns)}"
    return type(error)("\n".join([f"{error}{advice} The file has", *seen.described()]))


def _headless(seen: Glimpse, option: str) -> str:
    """What to do if the file seems to have no header, or has none."""
    if not seen.header:
        return f" Count columns, as in --{option} 1."
    if lacks_header(seen):
        return (
            f" Its first line seems to be a row, not a header: give --no-header and count columns, as in --{option} 1."
        )
    return ""
