"""The base of every schema read from a file, and how its validation errors become messages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.base.errors import SuiteError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

M = TypeVar("M", bound=BaseModel)


class Frozen(BaseModel):
    """Immutable data that accepts no unknown key and no silent conversion between kinds of value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, protected_namespaces=())


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file; raises `SuiteError` with file and line where it is malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SuiteError(f"{path}: no such file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: not valid TOML: {error}") from error


def validated(schema: type[M], data: dict[str, Any], *, where: str) -> M:
    """`data` as a `schema`; every problem is named by file, key, what was found and what was expected."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise SuiteError("\n".join(_problem(schema, item, where) for item in error.errors())) from error


def _problem(schema: type[BaseModel], item: Any, where: str) -> str:
    place = f"{where}: {_dotted(item['loc'])}"
    if item["type"] == "extra_forbidden":
        key = str(item["loc"][-1])
        return str(unknown("key", key, _keys(schema, item["loc"][:-1]), where=place))
    if item["type"] == "missing":
        return f"{place}: missing; it must be given"
    return f"{place}: {item['msg']} (found {item['input']!r})"


def _dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


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
    """`text` as a TOML value; as a plain string where it is none, so that `init=mean` needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
