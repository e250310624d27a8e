"""Classification: one class out of two or more for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS, Feature, Predictions
from bench.tasks.kinds.sequence import SequenceKind, metric_names, true_labels

if TYPE_CHECKING:
    from torch import Tensor


class Classification(SequenceKind):
    """Softmax cross-entropy in training, the class of the largest logit in prediction (the first among equals)."""

    name = "classification"

    def target(self, label: int | float) -> int:
        """The class index."""
        return int(label)

    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy in nats."""
        from torch.nn import functional

        return functional.cross_entropy(outputs.logits.float(), targets["labels"])

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> Predictions:
        """The logits, in the order of the examples."""
        import numpy as np

        rows: list[Any] = [None] * len(examples)
        for (logits,), feature in zip(outputs, features, strict=True):
            rows[feature.example] = logits
        return Predictions(logits=np.asarray(rows, dtype=np.float64))

    def score(self, predictions: Predictions, examples: Sequence[Example], metrics: Sequence[str]) -> dict[str, float]:
        """Any of `accuracy`, `f1` (two classes only, of class 1) and `mcc`."""
        from bench.tasks.metrics.metric import score_metrics

        names = metric_names(self.name, metrics, ("accuracy", "f1", "mcc"))
        if predictions.logits is None:
            raise DataError("classification: nothing to score: the predictions hold no logits")
        if "f1" in names and predictions.logits.shape[-1] != 2:
            raise DataError(
                f"f1 is defined for two classes; this task has {predictions.logits.shape[-1]}. Use accuracy."
            )
        classes = predictions.logits.argmax(axis=-1).tolist()
        return score_metrics(names, classes, [int(label) for label in true_labels(examples)])


KINDS.register(Classification.name)(Classification())
