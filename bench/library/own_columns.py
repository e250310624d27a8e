"""Which columns of a user's own file are text, label and the other roles of a task, and what kind that makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.base.errors import BenchError, SuiteError, unknown
from bench.library.glimpse import COUNTED, Glimpse, Spec
from bench.library.guessing import Choices, Guess, guess, lacks_header
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.sources.rows import other_delimiter

_KINDS = {  # the option that names what is to be predicted -> the kind of task
    "label": "classification",
    "score": "regression",
    "answer": "span_qa",
    "target": "translation",
}
# Where a column has another name as an option than as a role.
_ROLES = {"score": "label", "answer": "answers", "choice": "choices"}
_OPTIONS = ("text", "pair", "choice", "label", "score", "answer", "start", "target", "group")


def choose_columns(
    seen: Glimpse, named: Mapping[str, Spec], *, kind: str | None, by_values: bool
) -> tuple[dict[str, Spec], list[str]]:
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
        named = {option: _counted(spec) for option, spec in named.items()}
    for option, spec in named.items():
        lacking = seen.lacks(spec)
        if lacking is not None:
            raise _no_column(seen, option, lacking)
    predicted = [option for option in _KINDS if option in named]
    if len(predicted) > 1 and kind is None:
        raise SuiteError(f"--{predicted[0]} with --{predicted[1]}: a task predicts one of them. Leave out the other.")
    guessed = _guessed(seen, named, kind=kind, by_values=by_values)
    chosen: dict[str, Spec] = {**{option: each.column for option, each in guessed.items()}, **named}
    if "text" not in chosen:
        raise _which(seen, "text", "the text")
    if kind is None and "choice" in chosen and "label" not in chosen:
        raise _which(seen, "label", "the right choice, as its index from 0 or as its text")
    if kind is None and not any(option in chosen for option in _KINDS):
        raise _which(seen, "label", "the class (or name a number with --score, an answer with --answer)")
    same = [option for option in predicted or _KINDS if option in chosen and chosen[option] == chosen["text"]]
    if same:
        raise SuiteError(f"--text and --{same[0]} are both the column '{chosen['text']}'; name another one")
    taken = [f"{each.says} taken as --{option}: {each.why}" for option, each in guessed.items()]
    return {option: chosen[option] for option in _OPTIONS if option in chosen}, taken


def spec_of(columns: str | Sequence[str]) -> Spec | None:
    """Columns that are one role together; a single one stands for itself, and none for none."""
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    return None if not names else names[0] if len(names) == 1 else names


def _counted(spec: Spec) -> Spec:
    """The name of a column that is given by its number, in a file without a header."""
    if isinstance(spec, str):
        return COUNTED.format(spec) if spec.isdigit() else spec
    return tuple(COUNTED.format(each) if each.isdigit() else each for each in spec)


def _guessed(seen: Glimpse, named: Mapping[str, Spec], *, kind: str | None, by_values: bool) -> dict[str, Guess]:
    """Columns that nobody named, by option, as far as they fit those that were named and the kind."""
    taken = [column for spec in named.values() for column in ((spec,) if isinstance(spec, str) else spec)]
    predicted = [option for option in _KINDS if option in named]
    needs = None if kind is None else KINDS.get(kind, where="--kind").needs
    candidates = ("text" not in named and predicted in ([], ["label"])) if needs is None else "choices" in needs
    choices: Choices = "named" if "choice" in named else "sought" if candidates else "none"
    found = guess(seen, taken=taken, by_values=by_values, choices=choices)
    if predicted:  # no other column is predicted then
        found = {option: each for option, each in found.items() if option not in (*_KINDS, "start")}
    if needs is not None:
        found = {option: each for option, each in found.items() if option not in _KINDS or role_of(option) in needs}
    if "text" in named and "answer" not in (*named, *found):
        found.pop("pair", None)
    return {option: each for option, each in found.items() if option not in named}


def role_of(option: str) -> str:
    """The role in a suite's `columns` of what the command's option names."""
    return _ROLES.get(option, option)


def kind_of(chosen: Mapping[str, Spec]) -> str:
    """The kind of task that columns by option make."""
    if "choice" in chosen:
        return "multiple_choice"
    return next(kind for option, kind in _KINDS.items() if option in chosen)


def check_kind(kind: TaskKind, chosen: Mapping[str, Spec]) -> None:
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
    asked = f"--{option}: which column of {seen.name} is {what}?{_advice(seen, option)}"
    return SuiteError("\n".join([f"{asked} It has", *seen.described()]))


def _no_column(seen: Glimpse, option: str, column: str) -> BenchError:
    error = unknown("column", column, seen.columns, where=f"--{option}: {seen.name}")
    return type(error)("\n".join([f"{error}{_advice(seen, option)} The file has", *seen.described()]))


def _advice(seen: Glimpse, option: str) -> str:
    """What seems to be odd about the file, and what to do then."""
    return f"{_headless(seen, option)}{other_delimiter(seen.columns)}{_without_fields(seen)}"


def _without_fields(seen: Glimpse) -> str:
    """What to do if the rows inside JSON are no objects, so that the only column is the path to them."""
    if len(seen.columns) != 1 or not seen.columns[0].endswith("[]"):
        return ""
    (path,) = seen.columns
    if isinstance(seen.rows[0][path], list):
        return (
            f" The rows at {path} are lists, not objects. Write a suite that names their fields: "
            'header = ["text", "label"] (docs/suites.md).'
        )
    return (
        f' The rows at {path} are plain values without columns. Write one object per row, such as {{"text": ..., '
        f'"label": ...}}; in a task without labels, --text "{path}" takes the values as texts.'
    )


def _headless(seen: Glimpse, option: str) -> str:
    """What to do if the file seems to have no header, or has none."""
    if not seen.header:
        return f" Count columns, as in --{option} 1."
    if lacks_header(seen):
        return (
            f" Its first line seems to be a row, not a header: give --no-header and count columns, as in --{option} 1."
        )
    return ""
