"""The log of the losses of a training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from bench.base.errors import TrainingError

_READ_STEPS = 16  # reading at every step would make the host wait for a GPU each time
_READ_S = 1.0


class LossLog:
    """Collects the losses of a run and stops it at the first that is not finite.

    Args:
        total_steps: steps of the whole run.
        progress: called after each read, at least every second or 16 steps, with a sentence and the share done.
    """

    def __init__(self, total_steps: int, progress: Callable[[str, float], None] | None) -> None:
        self.values: list[float] = []
        self._waiting: list[Tensor] = []
        self._total = total_steps
        self._progress = progress
        self._read_at = time.perf_counter()

    def add(self, loss: Tensor) -> None:
        """Keep the detached loss of the next step."""
        self._waiting.append(loss)
        if len(self._waiting) >= _READ_STEPS or time.perf_counter() - self._read_at > _READ_S:
            self.read()

    def read(self) -> None:
        """Move the waiting losses to `values`; raises `TrainingError` at a loss that is not a finite number."""
        if not self._waiting:
            return
        for loss in torch.stack(self._waiting).tolist():
            if not math.isfinite(loss):
                raise TrainingError(
                    f"training diverged: the loss of step {len(self.values) + 1} of {self._total} is {loss}. Lower "
                    f"learning_rate, or check weights and targets."
                )
            self.values.append(loss)
        self._waiting.clear()
        self._read_at = time.perf_counter()
        if self._progress:
            done = len(self.values)
            self._progress(f"step {done} of {self._total}, loss {self.values[-1]:.3f}", done / self._total)
