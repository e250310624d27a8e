"""Terminals whose encoding lacks what bench prints."""

# ruff: noqa: RUF001  # dashes and arrows that such terminals lack are meant

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys

import pytest

from bench.cli import main
from bench.cli.terminal import replace_what_is_lacking

SCRIPT = "from bench.cli.terminal import replace_what_is_lacking as f; f(); print('–⁴ ↑↓ ─ 名 é')"


def run(arguments, encoding, **keywords):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, timeout=200, **keywords)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("latin-1", "-^4 ^v - ? é"),
        ("cp1252", "–^4 ^v - ? é"),
        ("ascii", "-^4 ^v - ? ?"),
        ("utf-8", "–⁴ ↑↓ ─ 名 é"),
    ],
)
def test_what_an_encoding_lacks_is_replaced_and_nothing_else(encoding, expected):
    done = run(["-c", SCRIPT], encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding).rstrip() == expected


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_a_command_ends_well_on_every_terminal(encoding, form, monkeypatch):
    said, errors = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", said)
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(sys, "argv", ["bench", "list", "columns", "--format", form])
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "1")
    with contextlib.suppress(SystemExit):
        main()
    said.flush()
    errors.flush()
    shown = said.buffer.getvalue().decode("utf-8" if encoding == "ascii" else encoding)  # typer's choice for ASCII
    assert errors.buffer.getvalue() == b""
    assert "speedup" in shown
    if form == "json":
        assert json.loads(shown)["rows"]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_so_does_a_process_of_its_own(encoding):
    done = run(["-m", "bench", "list", "columns"], encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "speedup" in done.stdout.decode("utf-8" if encoding == "ascii" else encoding)


def test_a_message_with_such_characters_still_ends_with_its_own_exit_status():
    done = run(["-m", "bench", "show", "名–⁴"], "latin-1")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"'?-^4'" in done.stderr


def test_streams_that_are_no_text_files_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", object())
    monkeypatch.setattr(sys, "stderr", None)
    replace_what_is_lacking()
