"""Regression: one score for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.tasks.examples import Example
from bench.tasks.features import Feature
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.sequence import SequenceKind
from bench.tasks.predictions import ScoreValues

if TYPE_CHECKING:
    from torch import Tensor


class Regression(SequenceKind):
    """Mean squared error (in squared units of the score) in training, the one output in prediction."""

    name = "regression"
    predicts = ScoreValues

    @override
    def target(self, label: int | float) -> float:
        return float(label)

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        from torch.nn import functional

        return functional.mse_loss(outputs.logits.float().squeeze(-1), targets["labels"].float())

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> ScoreValues:
        import numpy as np

        values = np.empty(len(examples), dtype=np.float64)
        for (logits,), feature in zip(outputs, features, strict=True):
            values[feature.example] = logits.item()
        return ScoreValues(values)


KINDS.register(Regression.name)(Regression())
