"""The price of depth in the objective of a model that decides how deep it runs."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import TrainingError
from bench.layers.halting import HaltingStack
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.objective import Term


class PonderTerm(Term):
    """Mean over positions of N + R, steps and remainder, of every halting stack (Graves 2016, arXiv:1603.08983, eq. 9).

    As in tensor2tensor's universal_transformer, which weighs it with 0.01; padding does not count.
    """

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """Raises `TrainingError` for a model without a halting stack."""
        costs = [module.ponder() for module in model.modules() if isinstance(module, HaltingStack)]
        if not costs:
            raise TrainingError(f"{type(model).__name__} has no halting stack, so it has no ponder cost")
        return sum(costs[1:], start=costs[0])
