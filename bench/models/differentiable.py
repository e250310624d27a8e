"""The kernels under which a model's gradients can be taken twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """While it lasts the model is in evaluation mode and can be differentiated as often as one likes.

    Fused attention and LSTM kernels have no second derivative, and cuDNN's LSTM has none at all outside training:
    attention runs torch's plain products, and an LSTM with a hook on its gates computes its time steps one by one.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from bench.models.recurrent.layer import LstmLayer

    training = model.training
    with ExitStack() as open_for_now:
        open_for_now.enter_context(torch.enable_grad())
        open_for_now.enter_context(sdpa_kernel(SDPBackend.MATH))
        for module in model.modules():
            if isinstance(module, LstmLayer):
                handle = module.hidden_gates.register_forward_hook(lambda *_: None)
                open_for_now.callback(handle.remove)
        open_for_now.callback(model.train, training)
        model.eval()
        yield
