"""The page of systems is what the command writes from the published results."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from bench.cli import app

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_command_writes(tmp_path):
    (tmp_path / "results").symlink_to(ROOT / "results")
    out = tmp_path / "docs" / "systems.md"
    done = CliRunner().invoke(app, ["survey", "--results", str(tmp_path / "results"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    page = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
    assert page == out.read_text(encoding="utf-8"), "run: bench survey --out docs/systems.md"
