"""A suite written as a TOML file, with comments for people, that reads back as the very same suite."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import SuiteError
from bench.spec.suite import Suite

Comments = Mapping[str, str]  # dotted key of the suite, such as `setting.measuring.country` -> what is said beside it

# Written as [sections]; every other table stands in one line.
_SECTIONS = ("setting", "setting.training", "setting.measuring")
_ENTRIES = ("tasks", "tracks", "findings")  # written as [[sections]]
_ENTRY_SECTIONS = ("tasks.data",)
_WIDTH = 110


def suite_text(suite: Suite, *, folder: Path, head: Sequence[str] = (), comments: Comments | None = None) -> str:
    """The suite as TOML; every key that it states is written, every other keeps its default.

    Args:
        suite: its `data_dir` is relative to the current folder.
        folder: where the file will be; the file's `data_dir` is relative to it.
        head: lines of comment above everything; an empty one stays empty.
        comments: what is said beside a key, or above a section.
    """
    table = suite.model_dump(mode="json", exclude_unset=True)
    if suite.data_dir is not None:
        table["data_dir"] = Path(os.path.relpath(suite.data_dir, folder)).as_posix()
    lines = [*(f"# {line}" if line else "" for line in head), *_lines(table, "", dict(comments or {}))]
    return "\n".join(lines) + "\n"


def write_suite(path: Path, text: str) -> None:
    """Write a suite to the new file `path`, or leave one that says the same.

    Raises `SuiteError` if another file is there, or it cannot be written.
    """
    if path.suffix != ".toml":
        raise SuiteError(f"{path}: the name of a suite's file must end in .toml")
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise SuiteError(f"{path} exists already. Choose another name, or remove the file first.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: cannot be written: {error}") from error


def _lines(table: Mapping[str, Any], path: str, comments: dict[str, str]) -> Iterator[str]:
    """The lines of one table: plain keys first, as TOML wants them, then the sections below it."""
    inner = {key: value for key, value in table.items() if _is_section(_below(path, key), value)}
    for key, value in table.items():
        if key not in inner and value is not None:
            yield from _key_lines(key, value, comments.get(_below(path, key)))
    for key, value in inner.items():
        place = _below(path, key)
        entries = value if place in _ENTRIES else [value]
        for entry in entries:
            yield ""
            yield from _commented(comments.get(place))
            yield f"[[{place}]]" if place in _ENTRIES else f"[{place}]"
            yield from _lines(entry, place, comments)


def _key_lines(key: str, value: Any, comment: str | None) -> Iterator[str]:
    line = f"{_key(key)} = {_value(value)}"
    if comment is None or len(line) + len(comment) + 4 <= _WIDTH:
        yield line if comment is None else f"{line}  # {comment}"
    else:
        yield from _commented(comment)
        yield line


def _commented(comment: str | None) -> list[str]:
    return [f"# {line}" for line in comment.splitlines()] if comment else []


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_section(place: str, value: Any) -> bool:
    if place in _ENTRIES:
        return bool(value)
    return isinstance(value, dict) and place in (*_SECTIONS, *_ENTRY_SECTIONS)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    """A value as TOML in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON escapes what TOML wants escaped, except the one control character after the letters.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(key))} = {_value(each)}" for key, each in value.items() if each is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
