"""Trace a model once with fvcore and keep what its heavy operators cost."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError
from bench.measures.computation.graphs import graph_operations
from bench.measures.computation.handles import Handles
from bench.measures.computation.operators import Operation, scoped
from bench.measures.computation.stored_values import StoredValues

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.layers.layer import StoredLayer

STAND_IN = "bench::packed_layer"


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Every heavy operator call of one forward pass, and the calls of operators that nobody knows how to count."""

    operations: tuple[Operation, ...]
    uncounted: dict[str, int]

    @property
    def heavy(self) -> int:
        """Calls of heavy operators, counted or not."""
        return len(self.operations) + sum(self.uncounted.values())

    @property
    def coverage(self) -> float:
        """Counted calls over heavy calls, in [0, 1]; a model without a heavy operator is covered."""
        return len(self.operations) / self.heavy if self.heavy else 1.0

    @property
    def macs(self) -> int:
        """Multiply-adds that are executed, zeros included."""
        return sum(operation.macs for operation in self.operations)

    @property
    def bops(self) -> int:
        """Sum of MACs * weight bits * activation bits."""
        return sum(operation.bops for operation in self.operations)

    def macs_effective(self) -> int:
        """Multiply-adds with a non-zero weight; products of two activations count in full."""
        return sum(operation.effective for operation in self.operations)

    def by_operator(self) -> dict[str, int]:
        """MACs by operator name, without the `aten::` before it."""
        totals: Counter[str] = Counter()
        for operation in self.operations:
            totals[operation.operator.removeprefix("aten::")] += operation.macs
        return dict(totals)

    def by_module(self, depth: int) -> dict[str, int]:
        """MACs by module path, each with all that is inside it; the empty path is the whole model.

        Modules without a product are left out. A module with several names counts under the one by which it was
        called.

        Args:
            depth: most steps of a path; a number, as in `layer.0`, is one step with the list that it is in.
        """
        totals: Counter[str] = Counter({"": 0})
        for operation in self.operations:
            steps = _steps(operation.module)[:depth]
            for length in range(len(steps) + 1):
                totals[".".join(steps[:length])] += operation.macs
        return dict(totals)


def trace(model: nn.Module, inputs: dict[str, Tensor]) -> Ledger:
    """Run `model(**inputs)` once under fvcore's tracer; the model is left as it was.

    Packed layers run kernels whose packed weights the tracer refuses ("not part of the active trace"): a stand-in
    operator with the same shapes takes their place during the trace, and the layer's own `macs(rows)` is the count.
    What is counted is the path that these inputs take; see `depth.DynamicDepth` for models with several. A graph of
    another runtime is not traced: it has its operators.

    Raises:
        ModelError: the model cannot be traced, for example because it calls scripted modules.
    """
    import torch

    from bench.layers.adaptive import counting
    from bench.runtimes.compiled import uncompiled
    from bench.runtimes.graph_model import GraphModel

    if isinstance(model, GraphModel):
        rows, length = inputs["input_ids"].shape
        operations, unknown = graph_operations(model, rows=rows, length=length)
        return Ledger(operations=operations, uncounted=unknown)
    with warnings.catch_warnings():
        # fvcore scripts one of its loss functions on import, which newer versions of torch deprecate.
        warnings.simplefilter("ignore", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

    traced = _as_module(model, tuple(inputs))
    layers = _packed_layers(model)
    # The tracer takes each stored tensor once, in the order of the state, after the inputs.
    state = {id(tensor): tensor for tensor in traced.state_dict(keep_vars=True).values()}
    stored = StoredValues(list(state.values()), inputs=len(inputs))
    hidden = (torch.no_grad(), counting(), uncompiled(model), _stand_ins(layers), warnings.catch_warnings())
    with ExitStack() as entered:
        for each in hidden:
            entered.enter_context(each)
        paths = entered.enter_context(scoped(model))
        # While it is traced a size is a tensor, and DeBERTa makes one of each size that it takes a root of.
        warnings.filterwarnings("ignore", "To copy construct from a tensor", UserWarning)
        handles = Handles(stored, paths=paths, layers=layers, stand_in=STAND_IN)
        analysis = FlopCountAnalysis(traced, tuple(inputs.values()))
        analysis.clear_op_handles().set_op_handle(**handles.table())
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        try:
            analysis.total()
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{type(model).__name__} cannot be traced to count its operators: {first}") from error
    uncounted = Counter(dict(analysis.unsupported_ops())) + handles.uncounted
    return Ledger(operations=tuple(handles.operations), uncounted=dict(uncounted))


def _steps(path: str) -> list[str]:
    """The parts of a module path, each name with the number after it."""
    steps: list[str] = []
    for part in path.split(".") if path else ():
        if part.isdecimal() and steps and not steps[-1].rpartition(".")[2].isdecimal():
            steps[-1] += f".{part}"
        else:
            steps.append(part)
    return steps


def _as_module(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """The model as a module of positional tensors that returns every output tensor, as the tracer wants it."""
    import torch
    from torch.utils._pytree import tree_leaves

    class Positional(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
            output = self.model(**dict(zip(names, tensors, strict=True)))
            _keep_all()
            return tuple(leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor))

    return Positional().train(model.training)


def _keep_all() -> None:
    """Make each traced value that nothing uses an output of the graph, so that every value is needed by an output.

    The tracer drops what no output needs, though it was executed: Python may have used such a value, for example to
    decide whether an example leaves early.
    """
    import torch

    tracing: Any = torch._C._get_tracing_state()
    if tracing is None:
        return
    graph = tracing.graph()
    for value in list(_values(graph)):
        if value.type().kind() == "TensorType" and not value.uses():
            graph.registerOutput(value)


def _values(block: Any) -> Iterator[Any]:
    """Every value of a graph that is being traced, in which each scope is still a node with a block of its own."""
    for node in block.nodes():
        yield from node.outputs()
        for inner in node.blocks():
            yield from _values(inner)


def _packed_layers(model: nn.Module) -> list[StoredLayer]:
    from bench.layers.layer import StoredLayer

    return [module for module in model.modules() if isinstance(module, StoredLayer) and module.opaque]


@functools.cache
def _stand_in() -> Callable[[Tensor, int, int], Tensor]:
    """The stand-in operator, defined once per process; its output has the right shape and no meaning."""
    import torch

    def run(x: Tensor, number: int, width: int) -> Tensor:
        return x.new_zeros(*x.shape[:-1], width)

    torch.library.define(STAND_IN, "(Tensor x, int number, int width) -> Tensor")
    torch.library.impl(STAND_IN, "CompositeExplicitAutograd", run)
    operator: Callable[[Tensor, int, int], Tensor] = torch.ops.bench.packed_layer
    return operator


def _standing_in_for(layer: StoredLayer, number: int) -> Callable[[Tensor], Tensor]:
    operator, width = _stand_in(), layer.out_features
    return lambda x: operator(x, number, width)


@contextmanager
def _stand_ins(layers: Sequence[StoredLayer]) -> Iterator[None]:
    """Let every packed layer run its stand-in, and give it its own forward back at the end."""
    for number, layer in enumerate(layers):
        # Set on the instance, where it hides the class's method until it is removed.
        layer.__dict__["forward"] = _standing_in_for(layer, number)
    try:
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)
