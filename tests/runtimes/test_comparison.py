from types import SimpleNamespace

import pytest
import torch

from bench.base.errors import MethodError, ModelError
from bench.runtimes.comparison import compare

IDS = torch.tensor([[5, 6, 7, 8]])


def model(*rows):
    """Gives each of these outputs in turn, whatever it is called with."""
    left = [torch.tensor(row) for row in rows]
    return lambda **_: SimpleNamespace(logits=left.pop(0))


class Graph:
    graph = SimpleNamespace(head="sequence-classification")

    def __init__(self, *rows):
        self._call = model(*rows)

    def __call__(self, **inputs):
        return self._call(**inputs)


def test_the_difference_is_the_largest_one_over_the_spread_of_the_models_outputs():
    told, said = ([[1.0, 3.0]], [[5.0, 7.0]]), ([[1.0, 3.5]], [[6.0, 5.0]])
    batches = [{"input_ids": IDS}, {"input_ids": IDS}]
    found = compare(model(*told), Graph(*said), batches, examples=2, exact=True)
    spread = (sum((value - 4.0) ** 2 for value in (1, 3, 5, 7)) / 4) ** 0.5
    assert found.difference == pytest.approx(2.0 / spread)
    assert found.changed == 0.5  # the second decides otherwise
    assert (found.examples, found.exact) == (2, True)


def test_one_output_decides_nothing_and_padding_does_not_count():
    regression = compare(model([[1.0], [3.0]]), Graph([[1.0], [3.0]]), [{"input_ids": IDS}], examples=2, exact=True)
    assert (regression.changed, regression.difference) == (None, 0.0)
    inputs = {"input_ids": IDS, "attention_mask": torch.tensor([[1, 1, 0, 0]])}
    spans, graph = model([[1.0, 2.0, 9.0, 9.0]]), Graph([[1.0, 2.0, -70.0, 50.0]])
    assert compare(spans, graph, [inputs], examples=1, exact=True).difference == 0.0


def test_a_graph_that_fails_on_a_length_says_which():
    def fails(**_):
        raise ModelError("only four tokens")

    graph = Graph()
    graph._call = fails
    with pytest.raises(MethodError, match=r"fails on inputs of shape \[1, 4\]: only four tokens"):
        compare(model([[1.0, 2.0]]), graph, [{"input_ids": IDS}], examples=1, exact=True)
