"""A function from texts to answers in the place of a model: nothing is known of it but what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from bench.base.errors import ModelError

AT_ONCE = 32  # examples that a function is given in one call
CLOSED = "nothing inside of a function is known: it is only asked for its answers to texts"


class TextFunction(nn.Module):
    """A function that is given a list of texts (or of pairs and more, as the task's kind hands them over).

    Args:
        name: the function's, `package.module:callable`.
        function: takes a list and returns one answer for each of its entries, in their order.
        labels: what its numbers stand for in their order, if it gives lists of scores of labels; else empty.
    """

    def __init__(self, name: str, function: Callable[[list[Any]], Any], labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.name = name
        self.labels = tuple(labels)
        self._function = function

    def ask(self, rows: Sequence[Any], uids: Sequence[str]) -> list[Any]:
        """Its answer to every row; `uids` name the examples in messages.

        Raises `ModelError` if it raises, naming the first example, or if it gives another number of answers.
        """
        found: list[Any] = []
        for start in range(0, len(rows), AT_ONCE):
            part = list(rows[start : start + AT_ONCE])
            try:
                said = self._function(list(part))
            except Exception as error:
                raise ModelError(self._says_raised(error, part, uids, start)) from error
            found += self._listed(said, len(part), start)
        return found

    def forward(self, *args: Any, **given: Any) -> Any:
        """Raises `ModelError`: it reads no token ids."""
        raise ModelError(f"{self.name}: {CLOSED}")

    def _listed(self, said: Any, count: int, start: int) -> list[Any]:
        """The answers as a list, arrays and tensors as numbers."""
        plain = said.tolist() if hasattr(said, "tolist") else said
        if isinstance(plain, str | dict) or not isinstance(plain, Sequence):
            raise ModelError(
                f"{self.name}: expected a list with one answer for each of {count} texts, found {type(said).__name__}"
            )
        if len(plain) != count:
            raise ModelError(
                f"{self.name}: examples {start + 1} to {start + count}: given {count} texts, it returned {len(plain)} "
                "answers, expected one for each, in their order"
            )
        return [each.tolist() if hasattr(each, "tolist") else each for each in plain]

    def _says_raised(self, error: Exception, part: list[Any], uids: Sequence[str], start: int) -> str:
        """Which example it cannot answer: the first that it raises for alone, if there is one."""
        for place, row in enumerate(part):
            try:
                self._function([row])
            except Exception as alone:
                number = start + place
                return f"{self.name}: example {number + 1} ({uids[number]}): raised {type(alone).__name__}: {alone}"
        return (
            f"{self.name}: examples {start + 1} to {start + len(part)} together: raised {type(error).__name__}: {error}"
        )


def closed(model: nn.Module) -> str | None:
    """Why nothing inside of a model can be measured; None if it is a network."""
    return CLOSED if isinstance(model, TextFunction) else None
