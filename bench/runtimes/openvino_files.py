"""OpenVINO's files, and its library, which sends nothing about its use."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from bench.base.errors import ModelError
from bench.runtimes.runtime import Files

GRAPH, WEIGHTS = "openvino.xml", "openvino.bin"


def silent() -> Any:
    """The package `openvino`, which sends nothing about its use from now on.

    By itself it reports conversions to its makers unless a file in the home directory forbids it. It does without the
    package that sends if that is not installed, so it is told that it is not.
    """
    import sys

    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    elif sys.modules["openvino_telemetry"] is not None:  # loaded by somebody else: nobody has agreed to it here
        from openvino_telemetry.utils.opt_in_checker import ConsentCheckResult, OptInChecker

        OptInChecker.check = lambda *_, **__: ConsentCheckResult.DECLINED
    import openvino

    return openvino


@functools.cache
def core() -> Any:
    """OpenVINO's runtime, once per process."""
    return silent().Core()


def read(files: Files) -> Any:
    """The graph of files as OpenVINO's model; raises `ModelError` if it is none."""
    graph, weights = files[GRAPH], files[WEIGHTS]
    try:
        if isinstance(graph, Path) and isinstance(weights, Path):
            return core().read_model(str(graph), str(weights))
        graph, weights = (each if isinstance(each, bytes) else each.read_bytes() for each in (graph, weights))
        return core().read_model(graph, weights)
    except RuntimeError as error:
        named = GRAPH if isinstance(graph, bytes) else str(graph)
        raise ModelError(f"{named}: OpenVINO cannot read it: {last_line(error)}") from error


def last_line(error: Exception) -> str:
    """What OpenVINO says at the end, after the places in its code."""
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]
