"""`bench doctor` shows every finding and its exit status says whether numbers would hold."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.doctor import examine
from bench.doctor.machine import Diagnosis

FINE = Diagnosis("timer", "ok", "steps of 90 ns")
ABSENT = Diagnosis("absent columns", "note", "energy_eit_kwh: no counter", "Run on bare metal.")
BUSY = Diagnosis("other programs", "problem", "used 71% of the last second", "Close them.")


def run(monkeypatch, findings, *arguments):
    monkeypatch.setattr(examine, "examine", lambda **_: iter(findings))
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_every_finding_is_a_line_with_its_advice(monkeypatch):
    result = run(monkeypatch, [FINE, ABSENT])
    assert result.exit_code == 0
    assert result.output == (
        "  timer               steps of 90 ns\n- absent columns      energy_eit_kwh: no counter. Run on bare metal.\n"
    )


def test_a_problem_makes_the_exit_status_one(monkeypatch):
    assert run(monkeypatch, [FINE, BUSY]).exit_code == 1


def test_json_is_a_list_of_findings_and_markdown_a_table(monkeypatch):
    assert json.loads(run(monkeypatch, [BUSY], "--format", "json").output) == [BUSY._asdict()]
    assert "| other programs | problem |" in run(monkeypatch, [BUSY], "--format", "md").output


@pytest.mark.slow
def test_this_machine_is_examined():
    found = {finding.topic: finding for finding in examine.examine(threads=1, seconds=0, patience_s=0)}
    assert {"processor", "gpu", "timer", "peak memory", "power of processor"} <= found.keys()
    assert "noise floor" not in found
