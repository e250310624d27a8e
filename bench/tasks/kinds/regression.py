"""Regression: one score for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS, Feature, Predictions
from bench.tasks.kinds.sequence import SequenceKind, metric_names, true_labels

if TYPE_CHECKING:
    from torch import Tensor


class Regression(SequenceKind):
    """Mean squared error in training, the one output in prediction."""

    name = "regression"

    def target(self, label: int | float) -> float:
        """The score, always as a float."""
        return float(label)

    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean squared error, in squared units of the score."""
        from torch.nn import functional

        return functional.mse_loss(outputs.logits.float().squeeze(-1), targets["labels"].float())

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> Predictions:
        """The scores, in the order of the examples."""
        import numpy as np

        values = np.empty(len(examples), dtype=np.float64)
        for (logits,), feature in zip(outputs, features, strict=True):
            values[feature.example] = logits.item()
        return Predictions(values=values)

    def score(self, predictions: Predictions, examples: Sequence[Example], metrics: Sequence[str]) -> dict[str, float]:
        """Any of `pearson` and `spearman`; a `DataError` where all predictions are equal, as neither then exists."""
        from bench.tasks.metrics.metric import score_metrics

        names = metric_names(self.name, metrics, ("pearson", "spearman"))
        if predictions.values is None:
            raise DataError("regression: nothing to score: the predictions hold no values")
        return score_metrics(names, predictions.values.tolist(), [float(label) for label in true_labels(examples)])


KINDS.register(Regression.name)(Regression())
