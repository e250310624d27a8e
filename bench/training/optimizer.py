"""AdamW over the parameters that train, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from bench.base.errors import TrainingError

_FUSED_DEVICES = ("cpu", "cuda")


def make_optimizer(
    model: nn.Module, *, learning_rate: float, weight_decay: float, parameters: Iterable[nn.Parameter] | None = None
) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019) with decay on matrices only: biases and norms are not decayed, as in BERT.

    A parameter shared between modules is optimized once; one without `requires_grad` is left out.

    Args:
        model: supplies the parameters unless `parameters` are given.
        learning_rate: the peak; see `rate_at` for the schedule.
        weight_decay: decoupled decay of tensors with two axes or more.
        parameters: exactly those to train.

    Raises `TrainingError` if nothing is left to train.
    """
    chosen = model.parameters() if parameters is None else parameters
    trained = list(dict.fromkeys(parameter for parameter in chosen if parameter.requires_grad))
    if not trained:
        raise TrainingError("nothing to train: no parameter of the model has requires_grad")
    groups = [
        {"params": [parameter for parameter in trained if parameter.dim() > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    fused = all(parameter.device.type in _FUSED_DEVICES for parameter in trained)
    return AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=fused)


def rate_at(step: int, total_steps: int, *, peak: float, warmup: float) -> float:
    """The learning rate of `step` (from 0): linear rise over the share `warmup`, then linear fall towards 0.

    The first step of the rise and the last of the fall have a positive rate, so that no step is idle.
    """
    rising = math.ceil(warmup * total_steps)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * (total_steps - step) / (total_steps - rising)


def set_rate(optimizer: AdamW, rate: float) -> None:
    """Give every parameter group the learning rate `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(optimizer: AdamW, largest_norm: float) -> None:
    """Scale all gradients together so that their joint 2-norm is at most `largest_norm`."""
    held: list[Tensor] = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    torch.nn.utils.clip_grad_norm_(held, largest_norm)
