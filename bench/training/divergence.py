"""How far a student is from a teacher, as a loss, and the log of the losses of a training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bench.base.errors import TrainingError


def distillation_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], *, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """T^2 * KL(softmax(teacher / T) || softmax(student / T)), mean over the batch and over the output tensors.

    Hinton et al. 2015, arXiv:1503.02531, §2: the factor T^2 keeps the gradient's size independent of T. The divergence
    is summed over classes (`batchmean`), in nats; dividing by the number of classes as well, as the PKD code does,
    is not what the paper's equation says. Outputs of one value per example (regression) have no distribution: there
    the loss is the mean squared difference, whatever T is.

    Args:
        student: one tensor per head, [batch, classes], [batch, length] for span QA, or [batch] or [batch, 1].
        teacher: the same shapes; no gradient flows into them.
        temperature: T > 0.
        mask: [batch, length], true where a position or a candidate may be chosen; None lets every class be chosen.
    """
    losses = [
        _squared(mine, its) if _is_value(mine) else _divergence(mine, its, temperature, mask)
        for mine, its in zip(student, teacher, strict=True)
    ]
    return torch.stack(losses).mean()


def _is_value(outputs: Tensor) -> bool:
    return outputs.dim() == 1 or outputs.size(-1) == 1


def _squared(student: Tensor, teacher: Tensor) -> Tensor:
    return functional.mse_loss(student.float(), teacher.float().view_as(student))


def _divergence(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None) -> Tensor:
    target = functional.log_softmax(_masked(teacher.float() / temperature, mask), dim=-1)
    found = functional.log_softmax(_masked(student.float() / temperature, mask), dim=-1)
    return functional.kl_div(found, target, log_target=True, reduction="batchmean") * temperature**2


def _masked(logits: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return logits
    return logits.masked_fill(~mask.bool(), -1e9)  # finite: exp gives 0, and 0 * (difference) stays 0, not NaN


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
