"""The price of tokens, as a term of the objective."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import TrainingError
from bench.layers.tokens import TokenThresholdStack
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.objective import Term


class TokenPrice(Term):
    """The mean over layers and tokens of the soft masks of every stack with thresholds (Kim et al. 2022, from memory).

    The paper's sum over tokens is a mean here, so that its weight does not depend on the length; padding and the first
    token's factor of 1 are as in the stack.
    """

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """Raises `TrainingError` for a model without such a stack."""
        prices = [module.price() for module in model.modules() if isinstance(module, TokenThresholdStack)]
        if not prices:
            raise TrainingError(f"{type(model).__name__} has no thresholds of tokens, so its tokens have no price")
        return sum(prices[1:], start=prices[0])
