"""Computation of one example: MACs, FLOPs, effective MACs, bit operations and how much of it could be counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bench.errors import ModelError
from bench.measures.inputs import made_inputs
from bench.measures.measure import MEASURES, Measure, Pair, Reading

if TYPE_CHECKING:
    from torch import nn

    from bench.artifact import Loaded
    from bench.measures.trace import Ledger

TOTALS = ("macs", "flops", "macs_effective", "bops")
SPARSE = 0.10  # share of executed multiply-adds with a zero weight from which the board must say so


class Computation(Measure):
    """Counts what one forward pass executes, by fvcore with the handles of `operators.py`; batch 1."""

    name = "computation"
    columns = (*TOTALS, "flops_coverage", "speedup_layers")
    says = "multiply-adds, FLOPs and bit operations for one example, and the layer-count proxy of speed"

    def read(self, pair: Pair) -> Reading:
        """Trace both models; totals are absent where a heavy operator could not be counted."""
        reading = Reading(
            conditions={
                "batch_size": 1,
                "length": pair.setting.measuring.length,
                "convention": "1 multiply-add = 1 MAC = 2 FLOPs; only products count",
            }
        )
        _give_depth(reading, pair)
        try:
            mine, theirs = _trace(pair, pair.artifact), _trace(pair, pair.reference)
        except ModelError as error:
            reading.leave(str(error), *TOTALS, "flops_coverage")
            return reading
        reading.give("flops_coverage", mine.coverage, reference=theirs.coverage)
        reading.conditions["macs_by_operator"] = mine.by_operator()
        reading.conditions["reference_macs_by_operator"] = theirs.by_operator()
        if mine.uncounted:
            reading.leave(f"no handle counts the operators {_named(mine.uncounted)}", *TOTALS)
            return reading
        reference = _totals(theirs) if not theirs.uncounted else {}
        for name, value in _totals(mine).items():
            reading.give(name, value, reference=reference.get(name))
        _warn_of_zeros(reading)
        _give_kernels(reading, pair.artifact.model)
        return reading


def _trace(pair: Pair, side: Loaded) -> Ledger:
    from bench.measures.trace import trace

    inputs = made_inputs(
        side.model,
        pair.reference.tokenizer,
        batch_size=1,
        length=pair.setting.measuring.length,
        device=pair.device,
        seed=pair.seed,
    )
    return trace(side.model, inputs)


def _totals(ledger: Ledger) -> dict[str, int]:
    macs = ledger.macs
    return {"macs": macs, "flops": 2 * macs, "macs_effective": ledger.macs_effective(), "bops": ledger.bops}


def _give_kernels(reading: Reading, model: nn.Module) -> None:
    """Name the kernels that the int8 layers run here, and say so where they do not run in integers at all."""
    from bench.layers.int8 import Int8Linear
    from bench.measures.operators import runs_as_float

    layers = [module for module in model.modules() if isinstance(module, Int8Linear)]
    reading.conditions["kernels"] = dict(Counter(layer.kernel for layer in layers))
    if any(runs_as_float(layer) for layer in layers):
        reading.warn(
            "int8-executes-float",
            "this machine has no integer kernel for some int8 layers: their weights are turned back to float at every "
            "call, so only storage is saved. Measure on a CPU with fbgemm or qnnpack, or on CUDA.",
        )


def _named(uncounted: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count} calls)" for name, count in sorted(uncounted.items()))


def _give_depth(reading: Reading, pair: Pair) -> None:
    """Reference layers over executed layers (Zhou 2020, Sun 2021), for models whose depth is the same for every input.

    Their formula, sum of L * m_i over sum of i * m_i with m_i examples leaving after layer i, is L / i here.
    """
    from bench.models.adapter import adapter_for

    try:
        depths = [adapter_for(side.model).depth(side.model) for side in (pair.reference, pair.artifact)]
    except ModelError as error:
        reading.leave(f"the number of executed layers is not known: {error}", "speedup_layers")
        return
    reading.conditions |= {"reference_layers": depths[0], "layers": depths[1]}
    reading.give("speedup_layers", depths[0] / depths[1], reference=1.0)


def _warn_of_zeros(reading: Reading) -> None:
    macs, effective = reading.values["macs"], reading.values["macs_effective"]
    if effective < (1 - SPARSE) * macs:
        reading.warn(
            "sparse-executes-dense",
            f"{1 - effective / macs:.0%} of the multiply-adds have a zero weight and are executed all the same: the "
            "zeros save storage at most. Prune whole heads, neurons or layers to save time.",
        )


MEASURES.register("computation")(Computation())
