"""Gender parity: whether two sentences that differ only in the gender of a pronoun are predicted alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.columns import Column
from bench.tasks.metrics.context import Context
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import ClassLogits, Predictions


class GenderParity(Metric):
    """Share of pairs whose two sentences get the same label, right or wrong, in [0, 1].

    A pair is the two examples of one group (`Example.group`). There is no interval: the examples of a pair belong
    together, and an interval here is over examples.
    """

    name = "gender_parity"
    column = Column(
        "gender_parity",
        says="share of pairs that differ in gender only and get the same label",
        kind="score",
        show="percent",
        better="higher",
        source="Rudinger et al. 2018 (Winogender), arXiv:1804.09301; Wang et al. 2019 (SuperGLUE), arXiv:1905.00537, "
        "section 3.3",
        oracle="tasks/test_class_metrics.py::test_gender_parity_counts_pairs_that_are_predicted_alike",
        scale="share",
        in_quality="share",
    )
    takes = ClassLogits
    of_groups = True

    @override
    def compared(self, said: Predictions, truth: Sequence[Any], context: Context) -> tuple[list[Any], list[Any]]:
        """Per example the predicted class, and the number of its pair."""
        if not context.groups or None in context.groups:
            raise DataError(f"{self.name}: an example has no group; its pair must be in the column `group` of the data")
        numbers = {group: number for number, group in enumerate(dict.fromkeys(context.groups))}
        return said.compared(truth)[0], [numbers[group] for group in context.groups]

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        sizes = Counter(references)
        odd = [size for size in sizes.values() if size != 2]
        if odd:
            raise DataError(f"{self.name}: found a group of {odd[0]}, expected pairs of two examples each")
        different = len(set(zip(predictions, references, strict=True))) - len(sizes)
        return 1 - different / len(sizes)


COLUMNS = (GenderParity.column,)

METRICS.register(GenderParity.name)(GenderParity())
