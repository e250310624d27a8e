"""Several models that are fine-tuned as one, with one head between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from bench.models.modules import replace_module
from bench.models.state import head_modules
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.objective import Term


class Together(nn.Module):
    """Models that read the same batch; what it gives is the list of what they give.

    Args:
        models: with a head each; from the second on, they get the first one's pooler and head, as the same modules.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        shared = head_modules(models[0])
        for model in models[1:]:
            for name, module in shared.items():
                replace_module(model, name, module)
        self.models = nn.ModuleList(models)

    @override
    def forward(self, **inputs: Tensor) -> list[Any]:
        """The outputs of each model."""
        return [model(**inputs) for model in self.models]


class EachOfThem(Term):
    """The sum of the task's losses of all models (MT-BERT, Wu et al. 2021, arXiv:2106.01023, co-fine-tuning)."""

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: list[Any], kind: TaskKind) -> Tensor:
        losses = [kind.loss(each, batch.targets) for each in outputs]
        return sum(losses[1:], start=losses[0])
