"""The base of every schema read from a file, and how its validation errors become messages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from bench.base.errors import SuiteError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

M = TypeVar("M", bound=BaseModel)
NAME = r"^[a-z0-9][a-z0-9._-]*$"  # of suites, tasks, tracks and recipes


class Frozen(BaseModel):
    """Immutable data that rejects unknown keys and values of the wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, protected_namespaces=())


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file; raises `SuiteError` with file and line if it is malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SuiteError(f"{path}: no such file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: not valid TOML: {error}") from error


def validated(schema: type[M], data: dict[str, Any], *, where: str) -> M:
    """`data` as a `schema`; every problem is named by file, key, what was found and what was expected.

    Raises `SuiteError` with one line per problem. Lists are counted from one, as `--set 1.bits` counts stages.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise SuiteError("\n".join(dict.fromkeys(_problems(schema, data, error, where)))) from error


def _problems(schema: type[BaseModel], data: dict[str, Any], error: ValidationError, where: str) -> Iterator[str]:
    """One line per problem; a list that is empty only because its entries are wrong is not reported itself."""
    items = error.errors()
    for item in items:
        inner = (other["loc"] for other in items if len(other["loc"]) > len(item["loc"]))
        if item["type"] == "too_short" and any(loc[: len(item["loc"])] == item["loc"] for loc in inner):
            continue
        yield _problem(schema, data, item, where)


def _problem(schema: type[BaseModel], data: dict[str, Any], item: Any, where: str) -> str:
    loc = item["loc"]
    place = ": ".join(part for part in (where, _in_words(loc, data)) if part)
    if item["type"] == "extra_forbidden":
        above = ": ".join(part for part in (where, _in_words(loc[:-1], data)) if part)
        return str(unknown("key", str(loc[-1]), _keys(schema, loc[:-1]), where=above))
    if item["type"] == "missing":
        return f"{place}: missing. {_how_to_add(schema, loc)}"
    if item["type"] in ("tuple_type", "list_type"):
        return f"{place} needs a list: {_as_list(item['input'])}"
    return f"{place}: {_expected(item)}"


def _expected(item: Any) -> str:
    """What is wrong with one value, in words, from the type of pydantic's error."""
    found, context = item["input"], item.get("ctx") or {}
    if item["type"] == "value_error":
        return str(context["error"])
    if item["type"] == "too_short":
        return f"expected at least {context['min_length']} entry, found {context['actual_length']}"
    if item["type"] == "literal_error":
        return f"expected {context['expected']}, found {found!r}"
    if item["type"] == "string_pattern_mismatch":
        pattern = context["pattern"]
        form = "lower-case letters, digits, dots, dashes and underscores" if pattern == NAME else f"the form {pattern}"
        return f"expected {form}, found {found!r}"
    if item["type"] in _BOUNDS:
        words, key = _BOUNDS[item["type"]]
        return f"expected {words} {context[key]:g}, found {found!r}"
    if item["type"] in _WANTED:
        return f"expected {_WANTED[item['type']]}, found {found!r}"
    return f"{item['msg']} (found {found!r})"


_BOUNDS = {
    "greater_than": ("a number above", "gt"),
    "greater_than_equal": ("a number of at least", "ge"),
    "less_than": ("a number below", "lt"),
    "less_than_equal": ("a number of at most", "le"),
}
_WANTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a table"),
}


def _as_list(value: Any) -> str:
    """A list with `value` as its one entry, as TOML."""
    return f'["{value}"]' if isinstance(value, str) else f"[{value}]"


def _how_to_add(schema: type[BaseModel], location: tuple[str | int, ...]) -> str:
    """How to add what is missing at `location`: a section if it has keys of its own, else a key."""
    names = [part for part in location if isinstance(part, str)]
    field = _field(schema, location)
    if field is not None and _model_in(field.annotation) is not None:
        header = f"[{'.'.join(names)}]"
        one = hasattr(field.annotation, "model_fields")
        return f"Add a {header if one else f'[{header}]'} section; see docs/suites.md."
    meaning = f" ({field.description})" if field is not None and field.description else ""
    return f"Add {names[-1]} = …{meaning}."


def _in_words(location: tuple[str | int, ...], data: Any) -> str:
    """The location in words: `task 'rte': training.epochs`, `stage 1: bits`, `measuring.skip`."""
    parts: list[str] = []
    keys: list[str] = []
    current = data
    for index, part in enumerate(location):
        if isinstance(part, int):
            entry = current[part] if isinstance(current, (list, tuple)) and part < len(current) else None
            name = entry.get("name") if isinstance(entry, dict) else None
            word = keys.pop().removesuffix("s") if keys else "entry"
            parts += [".".join(keys)] if keys else []
            parts.append(f"{word} {name!r}" if isinstance(name, str) else f"{word} {part + 1}")
            keys, current = [], entry
        elif not isinstance(current, dict) and index > 0:
            continue  # the name of one of several types that a value may have
        else:
            keys.append(part)
            current = current.get(part) if isinstance(current, dict) else None
    return ": ".join([*parts, *([".".join(keys)] if keys else [])])


def _field(schema: type[BaseModel], location: tuple[str | int, ...]) -> FieldInfo | None:
    """The field of `schema`, or of one nested in it, at `location`; None if it cannot be followed there."""
    current: Any = schema
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, int) or not hasattr(current, "model_fields"):
            continue
        field = current.model_fields.get(part)
        current = _model_in(field.annotation) if field else None
    return field


def _keys(schema: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys that `schema` accepts at `location`, as far as nested models can be followed."""
    current: Any = schema
    for part in location:
        if isinstance(part, int) or not hasattr(current, "model_fields"):
            continue
        field = current.model_fields.get(part)
        current = _model_in(field.annotation) if field else None
    return list(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The first pydantic model found inside a type annotation such as `tuple[Task, ...]` or `Plan | None`."""
    if hasattr(annotation, "model_fields"):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def toml_value(text: str) -> Any:
    """`text` as a TOML value; a plain string if it is not valid TOML, so that `init=mean` needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
