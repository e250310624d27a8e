"""Classification: one class out of two or more for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.tasks.examples import Example
from bench.tasks.features import Feature
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.sequence import SequenceKind
from bench.tasks.predictions import ClassLogits

if TYPE_CHECKING:
    from torch import Tensor


class Classification(SequenceKind):
    """Softmax cross-entropy in nats in training; the class of the largest logit in prediction."""

    name = "classification"
    predicts = ClassLogits
    least_labels = 2

    @override
    def target(self, label: int | float) -> int:
        return int(label)

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs.logits.float(), targets["labels"])

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> ClassLogits:
        import numpy as np

        rows: list[Any] = [None] * len(examples)
        for (logits,), feature in zip(outputs, features, strict=True):
            rows[feature.example] = logits
        return ClassLogits(np.asarray(rows, dtype=np.float64))


KINDS.register(Classification.name)(Classification())
