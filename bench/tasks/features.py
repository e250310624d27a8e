"""What a model is called with: features, unpadded, and batches of them, padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100  # the target of a token that is not predicted, as torch's cross-entropy ignores it


@dataclass(frozen=True, kw_only=True, slots=True)
class Maskable:
    """A text before masking, for which masked tokens can be drawn again.

    `tokens` are all its ids, `places` where those stand that may be predicted, `mask` is the mask token, and `words`
    are the ids that a random token is drawn from.
    """

    tokens: tuple[int, ...]
    places: tuple[int, ...]
    mask: int
    words: Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One model input made from one example (span QA makes several, one per window).

    `inputs` are lists of token ids and masks (`input_ids`, `attention_mask`, perhaps `token_type_ids` or
    `decoder_input_ids`), unpadded: all that the model is called with. A feature with candidates, each of which is read
    by itself, has one such list per candidate. `targets` are what the loss needs (`labels`, a number or one for each
    token, candidate or class, or `start_positions` and `end_positions`); `example` the index of the example; `offsets`
    for span QA the (start, end) characters of each token in the context, None outside it; `owners` for language
    modelling the index of the example that each token was read from; `text` for masked language modelling what it was
    before any token was masked.
    """

    inputs: Mapping[str, Sequence[int] | Sequence[Sequence[int]]]
    targets: dict[str, int | float | list[int]]
    example: int
    offsets: tuple[tuple[int, int] | None, ...] | None = None
    owners: tuple[int, ...] | None = None
    text: Maskable | None = None

    @property
    def candidates(self) -> int | None:
        """How many inputs it holds that the model reads one by one; None if it is a single input."""
        ids = self.inputs["input_ids"]
        return len(ids) if len(ids) and not isinstance(ids[0], int) else None

    @property
    def longest(self) -> int:
        """Tokens of its longest input of any name, such as that of its longest candidate."""
        if self.candidates is None:
            return max(map(len, self.inputs.values()))
        return max(len(ids) for values in self.inputs.values() for ids in _rows(values))

    @property
    def tokens(self) -> int:
        """Tokens that the model reads for it: its length, or its candidates times the length of the longest."""
        ids = self.inputs["input_ids"]
        return len(ids) if self.candidates is None else len(ids) * max(map(len, _rows(ids)))


class Batch(NamedTuple):
    """Padded features: `inputs` [batch, length] int64, `rows` the features' positions.

    `targets` are [batch], or [batch, length] int64 where each token has one, -100 where there is nothing to predict.
    If the features have candidates, `groups` says how many each has, and `inputs` are [all candidates, length], those
    of the first feature first; `rows` and `targets` still are one per feature.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    rows: list[int]
    groups: tuple[int, ...] | None = None

    def alone(self, row: int) -> Batch:
        """The batch of its feature number `row` and no other, with the padding that it has here."""
        first, end = row, row + 1
        if self.groups is not None:
            first, end = sum(self.groups[:row]), sum(self.groups[: row + 1])
        return Batch(
            {name: values[first:end] for name, values in self.inputs.items()},
            {name: values[row : row + 1] for name, values in self.targets.items()},
            self.rows[row : row + 1],
            None if self.groups is None else self.groups[row : row + 1],
        )

    def to(self, device: str) -> Batch:
        """The same batch on a device."""
        inputs, targets = (
            {name: values.to(device, non_blocking=True) for name, values in part.items()}
            for part in (self.inputs, self.targets)
        )
        return self._replace(inputs=inputs, targets=targets)


def as_rows(scores: Tensor, groups: Sequence[int]) -> Tensor:
    """What a model gave for all candidates of a batch, [candidates, ...], as [batch, most candidates, ...].

    Where a feature has fewer candidates than another, the rest are the lowest finite number of the type: their softmax
    is 0, and so is the difference of two such numbers.
    """
    import torch

    lowest = torch.finfo(scores.dtype).min
    found = scores.new_full((len(groups), max(groups), *scores.shape[1:]), lowest)
    found[[row for row, count in enumerate(groups) for _ in range(count)], [p for n in groups for p in range(n)]] = (
        scores
    )
    return found


def by_example(outputs: Sequence[tuple[Any, ...]], features: Sequence[Feature]) -> list[Any]:
    """The first output of each feature at the place of its example, if every example has one feature.

    Raises `ValueError` if an example has several features or none.
    """
    if sorted(feature.example for feature in features) != list(range(len(features))):
        raise ValueError(f"{len(features)} features do not belong to as many examples, one to each")
    found: list[Any] = [None] * len(features)
    for (first, *_), feature in zip(outputs, features, strict=True):
        found[feature.example] = first
    return found


def _rows(values: Sequence[int] | Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """The lists of an input of a feature that has candidates."""
    return cast("Sequence[Sequence[int]]", values)
