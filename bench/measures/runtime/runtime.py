"""What really runs the two models: runtime, version, threads, device, precision; and how a graph stands beside it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.timing.calls import pinned
from bench.runtimes.runtime import RUNTIMES, runtime_of

if TYPE_CHECKING:
    from torch import nn

    from bench.runtimes.graph_model import Graph

# Float32 rounds by 2^-24 of a number; a dozen layers of sums leave some 1e-5 of the outputs' spread.
EXACT = 1e-3
DECIDES = 0.05  # share of decisions that differ from which quantization is no rounding any more
UNKNOWN = {"runtime": "unknown"}  # of a function, which may run anything
_ASKED = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}


class RuntimeMeasure(Measure):
    """Asks the runtimes; nothing is timed."""

    name = "runtime"
    columns = ("graph_difference",)
    says = "what runs the models and in which precision, and how far an exported graph is from its model"
    budget_s = 5.0
    asks = True

    def read(self, pair: Pair) -> Reading:
        """Say what runs both; the difference was found when the graph was exported."""
        reading = Reading()
        with pinned(pair.setting.measuring.threads):
            reading.conditions["runtime"] = UNKNOWN if pair.closed else _executed(pair.artifact.model)
            reading.conditions["reference_runtime"] = _executed(pair.reference.model)
        if pair.closed:
            reading.leave(pair.closed, *self.columns)
            return reading
        graph: Graph | None = getattr(pair.artifact.model, "graph", None)
        if graph is None:
            reading.leave("PyTorch runs the model itself, so there is no graph to compare with it", *self.columns)
            return reading
        _compare(reading, graph)
        _check_precision(reading, graph)
        return reading


def _executed(model: nn.Module) -> dict[str, Any]:
    return asdict(RUNTIMES.get(runtime_of(model))().executed(model))


def _compare(reading: Reading, graph: Graph) -> None:
    compared = graph.compared
    if compared is None:
        reading.leave("the graph was not exported by bench, so its model is not known", "graph_difference")
        return
    reading.give("graph_difference", compared.difference)
    reading.conditions["compared"] = {**asdict(compared), "examples_of": "the training data, of different lengths"}
    if compared.exact and compared.difference > EXACT:
        reading.warn(
            "graph-differs",
            f"the graph's outputs differ from those of its model by up to {compared.difference:.2g} of their standard "
            f"deviation; rounding in float32 explains less than {EXACT:g}. Scores are those of the graph. Compare the "
            "two before you use it, and try another runtime.",
        )
    elif not compared.exact and compared.changed is not None and compared.changed > DECIDES:
        reading.warn(
            "graph-decides-otherwise",
            f"the graph decides otherwise than its model in {compared.changed:.0%} of {compared.examples} training "
            "examples. Quantize with more examples or with `reduce_range`, or keep float32.",
        )


def _check_precision(reading: Reading, graph: Graph) -> None:
    """Warn if a precision was asked for and another one runs; the runtime's own choice is only recorded."""
    ran, asked = reading.conditions["runtime"]["precision"], _ASKED.get(graph.precision)
    if asked is not None and ran != asked:
        reading.warn(
            "other-precision",
            f"the recipe asks for {asked}, but on this machine runtime '{graph.runtime}' computes in {ran}. Name the "
            "precision that ran if you report times or scores.",
        )


MEASURES.register("runtime")(RuntimeMeasure())
