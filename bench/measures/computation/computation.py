"""Computation of one example: MACs, FLOPs, effective MACs, bit operations and how much of it could be counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from bench.base.errors import DataError, ModelError
from bench.measures.base.inputs import made_inputs
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.computation.depth import Exits, exits, mean_layers
from bench.measures.computation.tokens import TokenShares, token_shares

if TYPE_CHECKING:
    from torch import nn

    from bench.artifacts.artifact import Loaded
    from bench.measures.computation.executions import Executions

TOTALS = ("macs", "flops", "macs_effective", "bops")
SPARSE = 0.10  # share of executed multiply-adds with a zero weight from which the board must say so
MODULE_DEPTH = (
    3  # steps of a module path: down to each encoder layer, so that a record has tens of rows and not hundreds
)


class Computation(Measure):
    """Counts what one forward pass executes, by fvcore with the handles of `handles.py`; batch 1.

    Counting takes one forward pass per model. A model of dynamic depth takes one for each depth at which an example of
    the evaluation splits leaves it, and an evaluation that finds these. One that drops tokens by what they say takes
    one for each of the examples that stand for all (`tokens`), with the shares of its tokens that each of these keeps.
    """

    name = "computation"
    columns = (*TOTALS, "flops_coverage", "speedup_layers")
    says = "multiply-adds, FLOPs and bit operations for one example, and the layer-count proxy of speed"
    budget_s = 4.0
    of_calls = True

    def read(self, pair: Pair) -> Reading:
        """Trace both models; totals are absent if a heavy operator could not be counted."""
        reading = Reading(
            conditions={
                "batch_size": 1,
                "length": pair.setting.measuring.length,
                "convention": "1 multiply-add = 1 MAC = 2 FLOPs; only multiplications whose products are summed are "
                "counted",
            }
        )
        mine, theirs = _count(pair, pair.artifact), _count(pair, pair.reference)
        _give_depth(reading, mine, theirs)
        _give_breakdown(reading, mine.cost, "")
        _give_breakdown(reading, theirs.cost, "reference_")
        if isinstance(mine.cost, str):
            reading.leave(mine.cost, *TOTALS, "flops_coverage")
            return reading
        known = None if isinstance(theirs.cost, str) else theirs.cost
        reading.give("flops_coverage", mine.cost.coverage, reference=known.coverage if known else None)
        if mine.cost.uncounted:
            reading.leave(_uncounted(mine.cost), *TOTALS)
            return reading
        reference = _totals(known) if known and not known.uncounted else {}
        for name, value in _totals(mine.cost).items():
            reading.give(name, value, reference=reference.get(name))
        _warn_of_zeros(reading)
        _give_kernels(reading, pair.artifact.model)
        return reading


class _Counted(NamedTuple):
    """One model: examples by executed layers, whether that depends on the example, and its cost; or why not.

    `form` is the architecture with its width, if known: only layers of one form can be compared by their number.
    """

    layers: Exits | str
    dynamic: bool
    cost: Executions | str
    form: str | None = None
    kept: TokenShares | None = None


def _count(pair: Pair, side: Loaded) -> _Counted:
    from bench.measures.computation.executions import executions

    try:
        found, kept = exits(pair, side), token_shares(pair, side)
    except (DataError, ModelError) as error:
        return _Counted(str(error), True, str(error))
    layers = _fixed_layers(side.model) if found is None else found
    form = _form(side.model)
    try:
        inputs = made_inputs(
            side.model,
            pair.reference.tokenizer,
            batch_size=1,
            length=pair.setting.measuring.length,
            device=pair.device,
            seed=pair.seed,
        )
        return _Counted(layers, found is not None, executions(side.model, inputs, found, kept), form, kept)
    except ModelError as error:
        return _Counted(layers, found is not None, str(error), form)


def _fixed_layers(model: nn.Module) -> Exits | str:
    from bench.models.adapter import adapter_for
    from bench.runtimes.graph_model import GraphModel

    if isinstance(model, GraphModel):
        depth = model.graph.layers
        return {depth: 1} if depth else "a graph that bench did not export has operators and no layers"
    try:
        return {adapter_for(model).depth(model): 1}
    except ModelError as error:
        return str(error)


def _form(model: nn.Module) -> str | None:
    """Architecture and width; None if the configuration does not say both."""
    config = getattr(model, "config", None)
    architecture, width = getattr(config, "model_type", None), getattr(config, "hidden_size", None)
    return f"{architecture} of width {width}" if architecture and width else None


def _totals(cost: Executions) -> dict[str, int | float]:
    macs = cost.mean(lambda ledger: ledger.macs)
    return {
        "macs": macs,
        "flops": 2 * macs,
        "macs_effective": cost.mean(lambda ledger: ledger.macs_effective()),
        "bops": cost.mean(lambda ledger: ledger.bops),
    }


def _give_breakdown(reading: Reading, cost: Executions | str, prefix: str) -> None:
    """Store MACs by operator and by module, the empty module name being the whole model, or why there are none."""
    if isinstance(cost, str):
        reading.conditions[f"{prefix}uncounted"] = cost
        return
    if cost.uncounted:
        reading.conditions[f"{prefix}uncounted"] = _uncounted(cost)
    reading.conditions[f"{prefix}macs_by_operator"] = cost.means(lambda ledger: ledger.by_operator())
    reading.conditions[f"{prefix}macs_by_module"] = cost.means(lambda ledger: ledger.by_module(MODULE_DEPTH))


def _give_kernels(reading: Reading, model: nn.Module) -> None:
    """Name the kernels of stored forms, and say so if integers are not multiplied as integers."""
    from bench.layers.layer import StoredLayer, StoredModule

    forms = [module for module in model.modules() if isinstance(module, StoredModule)]
    reading.conditions["kernels"] = dict(Counter(form.kernel for form in forms if form.kernel is not None))
    layers = (form for form in forms if isinstance(form, StoredLayer))
    if any(layer.has_integer_kernel and layer.runs_as_float for layer in layers):
        reading.warn(
            "int8-executes-float",
            "this machine has no integer kernel for some int8 layers. Their weights are converted to float at every "
            "call, so only storage is saved. Measure on a CPU with fbgemm or qnnpack, or on CUDA.",
        )


def _uncounted(cost: Executions) -> str:
    named = ", ".join(f"{name} ({count} calls)" for name, count in sorted(cost.uncounted.items()))
    return f"no counting formula for the operators {named}"


def _give_depth(reading: Reading, mine: _Counted, theirs: _Counted) -> None:
    """Reference layers over executed layers (Zhou et al. 2020, PABEE; Sun et al. 2021).

    Sum of L * m_i over sum of i * m_i, with m_i of the examples leaving after layer i of L: L over the mean depth,
    which is L / i if all run i layers. PABEE's code prints 1 - mean / L, a saved share and no ratio.
    """
    for side in (theirs, mine):
        if isinstance(side.layers, str):
            reading.leave(f"the number of executed layers is not known: {side.layers}", "speedup_layers")
            return
        prefix = "reference_" if side is theirs else ""
        reading.conditions[f"{prefix}layers"] = mean_layers(side.layers)
        if side.kept is not None:
            reading.conditions[f"{prefix}kept_token_shares"] = list(side.kept.mean)
            reading.conditions[f"{prefix}counted_at_shares_of"] = f"{len(side.kept.chosen)} of {side.kept.examples}"
        if side.dynamic:
            reading.conditions[f"{prefix}examples_by_layers"] = {str(i): count for i, count in side.layers.items()}
    if mine.form and theirs.form and mine.form != theirs.form:
        reading.leave(
            f"one has layers of a {mine.form}, the other of a {theirs.form}, so their numbers say nothing of time",
            "speedup_layers",
        )
        return
    depths = reading.conditions["reference_layers"], reading.conditions["layers"]
    reading.give("speedup_layers", depths[0] / depths[1], reference=1.0)


def _warn_of_zeros(reading: Reading) -> None:
    macs, effective = reading.values["macs"], reading.values["macs_effective"]
    if effective < (1 - SPARSE) * macs:
        reading.warn(
            "sparse-executes-dense",
            f"{1 - effective / macs:.0%} of the multiply-adds have a zero weight but are still executed, so the zeros "
            f"save at most storage. To save time, prune whole heads, neurons or layers.",
        )


MEASURES.register("computation")(Computation())
