"""What an OpenVINO graph stores and multiplies, by its own operators."""

from __future__ import annotations

from collections.abc import Mapping

from bench.base.errors import ModelError
from bench.runtimes.operators import GraphOperators
from bench.runtimes.runtime import Files


def operators(files: Files, *, shapes: Mapping[str, tuple[int, ...]]) -> GraphOperators:
    """See `GraphRuntime.operators`."""
    raise ModelError("operators of OpenVINO graphs are not counted yet")
