"""Asking a function of texts: one answer for each text, and one clear error for everything else."""

import numpy as np
import pytest
import torch

from bench.base.errors import ModelError
from bench.models.texts import AT_ONCE, TextFunction, closed

ROWS = [str(row) for row in range(2 * AT_ONCE + 3)]


def ask(function, rows=ROWS):
    return TextFunction("made:function", function).ask(rows, [f"id-{row}" for row in rows])


@pytest.mark.parametrize("form", [list, tuple, np.array, torch.tensor])
def test_answers_come_in_the_order_of_the_texts_whatever_holds_them(form):
    assert ask(lambda texts: form([float(text) for text in texts])) == [float(row) for row in ROWS]


def test_rows_of_arrays_become_numbers():
    assert ask(lambda texts: [np.array([1, 2]) for _ in texts]) == [[1, 2]] * len(ROWS)


def test_a_function_that_raises_is_told_with_the_example():
    def refuse(texts):
        return [1 / (int(text) - 40) for text in texts]

    with pytest.raises(ModelError, match=r"made:function: example 41 \(id-40\): raised ZeroDivisionError"):
        ask(refuse)


def test_one_that_raises_only_for_several_texts_is_told_with_their_numbers():
    def alone(texts):
        (text,) = texts
        return [text]

    with pytest.raises(ModelError, match="examples 1 to 32 together: raised ValueError"):
        ask(alone)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda texts: texts[1:], "examples 1 to 32: given 32 texts, it returned 31 answers"),
        (lambda texts: None, "expected a list with one answer for each of 32 texts, found NoneType"),
        (lambda texts: "answers", "found str"),
        (lambda texts: {"a": 1}, "found dict"),
    ],
)
def test_anything_but_one_answer_for_each_text_is_refused(function, message):
    with pytest.raises(ModelError, match=message):
        ask(function)


def test_a_function_is_closed_and_a_network_is_not():
    assert "nothing inside of a function is known" in closed(TextFunction("a:b", len))
    assert closed(torch.nn.Linear(1, 1)) is None
