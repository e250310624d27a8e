"""Multi-label classification: any number of the task's labels belongs to a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.features import Batch, Feature, by_example
from bench.tasks.heard import label_scores, places
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.sequence import SequenceKind
from bench.tasks.predictions import LabelDecisions

if TYPE_CHECKING:
    from torch import Tensor

    from bench.spec.suite import Task


class MultiLabel(SequenceKind):
    """A sigmoid and a binary cross-entropy per label; a label is predicted if its probability is above 1/2."""

    name = "multi_label"
    says = "any number of several classes per text or pair of texts"
    usual_metrics = ("macro_f1", "micro_f1")
    needs = ("label",)
    predicts = LabelDecisions
    least_labels = 2
    few_outputs = True

    @override
    def target(self, label: Any, task: Task) -> list[int]:
        return [int(index in label) for index in range(len(task.labels))]

    @override
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean binary cross-entropy over labels and batch, in nats."""
        from torch.nn import functional

        return functional.binary_cross_entropy_with_logits(outputs.logits.float(), targets["labels"].float())

    @override
    def logits(self, outputs: Any, batch: Batch) -> tuple[Tensor, ...]:
        """No and yes of each label, [batch, labels, 2], as each is a distribution of its own."""
        return (no_and_yes(outputs.logits.float()),)

    @override
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> LabelDecisions:
        odds = (logits[:, 1] - logits[:, 0] for logits in by_example(outputs, features))
        return LabelDecisions(tuple(tuple(row.tolist()) for row in odds))

    @override
    def heard(
        self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any
    ) -> LabelDecisions:
        """The log-odds of each label: above 0 it is said to belong to the text."""
        return LabelDecisions(
            tuple(
                tuple(label_scores(each, task.labels, outputs, where=where))
                for each, where in zip(said, places(name, examples), strict=True)
            )
        )

    @override
    def truth(self, example: Example) -> Any:
        return None if example.label is None else list(_indices(example))

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        for index in () if example.label is None else _indices(example):
            if not isinstance(index, int) or not 0 <= index < len(task.labels):
                raise DataError(
                    f"{where}: label {index!r} is not one of 0 to {len(task.labels) - 1} ({', '.join(task.labels)})"
                )


def no_and_yes(odds: Tensor) -> Tensor:
    """Log-odds [...] as logits of two classes, [..., 2], whose softmax is what the sigmoid of the log-odds says."""
    import torch

    return torch.stack([torch.zeros_like(odds), odds], dim=-1)


def _indices(example: Example) -> tuple[Any, ...]:
    """The labels of an example; a single index is a list of one."""
    return example.label if isinstance(example.label, tuple) else (example.label,)


KINDS.register(MultiLabel.name)(MultiLabel())
