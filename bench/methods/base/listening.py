"""Running a model over training examples and observing the inputs of its modules: calibration of every kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from bench.methods.base.method import Lab
    from bench.tasks.features import Batch, Feature

Listener = Callable[[Tensor], None]


def alike(lab: Lab, *, examples: int, skip: int = 0) -> list[Batch]:
    """Batches of `examples` training examples from position `skip` on, those of one length together, on the device.

    So nothing is padded, except candidates that are shorter than another one of their example.

    Raises `MethodError` if there are none.
    """
    from bench.tasks.batching import collate

    chosen = list(lab.features[skip : skip + examples])
    if not chosen:
        raise MethodError("there are no training examples for calibration")

    def lengths(feature: Feature) -> list[int]:
        found = [len(values) for values in feature.inputs.values()]
        return found if feature.candidates is None else [*found, feature.longest]

    batches = []
    for _, group in itertools.groupby(sorted(chosen, key=lengths), key=lengths):
        features = list(group)
        for start in range(0, len(features), lab.plan.batch_size):
            batch = collate(features[start : start + lab.plan.batch_size], pad_id=lab.tokenizer.pad_token_id)
            batches.append(batch.to(lab.device))
    return batches


def run(model: nn.Module, batch: Batch) -> Any:
    """The model's outputs for a batch, without gradients and in evaluation mode; its mode is restored."""
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            return model(**batch.inputs)
    finally:
        model.train(before)


@contextmanager
def listening(listeners: dict[nn.Module, Listener]) -> Iterator[None]:
    """Call each listener with the rows [rows, n] that its module is given, as long as the context is open."""

    def hook(listener: Listener) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda module, inputs: listener(inputs[0].detach().reshape(-1, inputs[0].shape[-1]))

    handles = [module.register_forward_pre_hook(hook(listener)) for module, listener in listeners.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
