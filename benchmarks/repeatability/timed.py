"""The work of one timing process, in a module that the process can import."""

from __future__ import annotations

from pathlib import Path

from bench.engine.processes import Report
from bench.measures.timing.latency import Latency
from bench.measures.timing.rounds import Round
from bench.spec.setting import Measuring


def timed(given: tuple[str, tuple[Path, Path], Measuring], report: Report) -> Round:
    """The round of the measure `latency` with the given name."""
    del report
    name, directories, measuring = given
    return Latency().probe(name, directories, device="cpu", measuring=measuring)
