"""Text has the same encoding on every machine: no file or child process is read or written in the locale's."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bench

ROOT = Path(bench.__file__).parent


def lacking(source):
    """The lines of calls that read or write text and name no encoding."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        text_mode = any(
            keyword.arg in ("text", "universal_newlines") and getattr(keyword.value, "value", None) is True
            for keyword in node.keywords
        )
        reads = name == "read_text" and not node.args
        writes = name == "write_text" and isinstance(node.func, ast.Attribute) and len(node.args) < 2
        opens = isinstance(node.func, ast.Name) and name == "open" and not _binary(node)
        if text_mode or reads or writes or opens:
            found.append(node.lineno)
    return found


def _binary(node):
    modes = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    return any("b" in str(getattr(mode, "value", "")) for mode in modes)


@pytest.mark.parametrize(
    "call",
    ["p.read_text()", "p.write_text('a')", "open('f')", "open('f', 'w')", "subprocess.run(['git'], text=True)"],
)
def test_a_call_without_an_encoding_is_found(call):
    assert lacking(call) == [1]
    assert lacking(call.removesuffix(")") + (", " if call[-2] != "(" else "") + "encoding='utf-8')") == []


def test_every_text_names_its_encoding():
    places = {path: lacking(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}
    assert len(places) > 100
    assert {str(path.relative_to(ROOT)): lines for path, lines in places.items() if lines} == {}
