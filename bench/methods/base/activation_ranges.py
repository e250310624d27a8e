"""How large activations become on training examples: a moving average over batches, for ranges that stay fixed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from bench.methods.base.method import Lab

Side = Literal["input", "output"]
MOMENTUM = 0.95

Largest = dict[tuple[nn.Module, Side], float]


def activation_ranges(
    model: nn.Module, modules: Collection[nn.Module], lab: Lab, *, examples: int, momentum: float = MOMENTUM
) -> Largest:
    """The largest magnitude of the inputs and outputs of each module, averaged over batches.

    r <- momentum * r + (1 - momentum) * max |x| of a batch, from the first batch's own, as in I-BERT (its code:
    QuantAct, act_range_momentum 0.95). A module that runs several times a batch counts with its largest. The model
    runs in evaluation mode on batches of examples of one length, so that no padding is counted.

    Args:
        model: left as it was.
        modules: those to listen to; of a tuple the first entry counts.
        lab: where the examples are from.
        examples: how many training examples are read, from the first.
        momentum: weight of what was known before each batch.

    Raises:
        MethodError: there are no training examples.
    """
    from bench.methods.base.listening import alike, run

    if not lab.features:
        raise MethodError("there are no training examples to find the ranges of activations with")
    batch_largest: Largest = {}
    handles = [handle for module in modules for handle in _listen(module, batch_largest)]
    found: Largest = {}
    try:
        for batch in alike(lab, examples=examples):
            batch_largest.clear()
            run(model, batch)
            for place, largest in batch_largest.items():
                found[place] = momentum * found[place] + (1 - momentum) * largest if place in found else largest
    finally:
        for handle in handles:
            handle.remove()
    return found


def _listen(module: nn.Module, largest: Largest) -> list[Any]:
    """Hooks that keep the largest magnitudes of one module in `largest`, and how they are removed."""

    def keep(side: Side) -> Callable[[Any], None]:
        def add(values: Any) -> None:
            tensor: Tensor = values[0] if isinstance(values, tuple) else values
            largest[module, side] = max(largest.get((module, side), 0.0), float(tensor.detach().abs().max()))

        return add

    inputs, outputs = keep("input"), keep("output")
    return [
        module.register_forward_pre_hook(lambda module, given: inputs(given)),
        module.register_forward_hook(lambda module, given, result: outputs(result)),
    ]
