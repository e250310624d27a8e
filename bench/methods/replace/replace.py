"""Progressive module replacing: BERT-of-Theseus."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.depth import student_depth
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.trained import TrainedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("replace")
class Replace(TrainedMethod):
    """Train successor layers that replace layers of the given model with rising probability (Xu et al. 2020).

    Groups of N/M predecessor layers have one successor each, which starts as a copy of one of the first M layers. In
    every step each group runs its successor with probability p_t, see `ReplaceSchedule`; once p_t is 1 the successors
    are fine-tuned together. Only successors are trained, on the task's loss only: embeddings, pooler, head and
    predecessors are frozen. The result keeps only the successors. arXiv:2002.02925, §3.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    layers: int | None = Field(
        None, ge=1, description="number of successor layers, a divisor of the depth; None is half the depth"
    )
    start: float = Field(0.3, ge=0, le=1, description="replacement rate at the first step (b)")
    full_at: float = Field(
        0.5, ge=0, le=1, description="share of the steps after which every layer is replaced (sets k)"
    )
    budget: float = Field(1.0, gt=0, le=100, description="training epochs as a share of the suite's")

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` if the depth is not a multiple of the number of successors."""
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model
        from bench.training.paths import ReplaceSchedule, ReplacingHook

        replaced = copy_model(model).to(lab.device)
        adapter = adapter_for(replaced)
        predecessors = adapter.layers(replaced)
        count = student_depth(self.layers, len(predecessors), where="replace")
        if len(predecessors) % count:
            raise MethodError(
                f"replace: {len(predecessors)} layers cannot form {count} groups of equal size. Set layers to one of "
                + ", ".join(
                    str(number) for number in range(1, len(predecessors) + 1) if len(predecessors) % number == 0
                )
                + "."
            )
        successors = copy.deepcopy(predecessors[:count])
        replaced.requires_grad_(False).train()  # predecessors leave the model before training switches dropout on
        adapter.set_layers(replaced, successors)
        for successor in successors:
            successor.requires_grad_(True)
        size = len(predecessors) // count
        hook = ReplacingHook(
            adapter=adapter,
            groups=[predecessors[start : start + size] for start in range(0, len(predecessors), size)],
            successors=successors,
            schedule=ReplaceSchedule(start=self.start, full_at=self.full_at),
            seed=lab.seed,
        )
        self.tune(replaced, lab, hooks=[hook])
        replaced.requires_grad_(True)  # a later stage may train everything
        return replaced
