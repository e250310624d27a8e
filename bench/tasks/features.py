"""What a model is called with: features, unpadded, and batches of them, padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

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
    `decoder_input_ids`), unpadded: all that the model is called with; `targets` what the loss needs (`labels`, a number
    or for each token one, or `start_positions` and `end_positions`); `example` the index of the example; `offsets` for
    span QA the (start, end) characters of each token in the context, None outside it; `owners` for language modelling
    the index of the example that each token was read from; `text` for masked language modelling what it was before any
    token was masked.
    """

    inputs: dict[str, list[int]]
    targets: dict[str, int | float | list[int]]
    example: int
    offsets: tuple[tuple[int, int] | None, ...] | None = None
    owners: tuple[int, ...] | None = None
    text: Maskable | None = None


class Batch(NamedTuple):
    """Padded features: `inputs` [batch, length] int64, `rows` the features' positions.

    `targets` are [batch], or [batch, length] int64 where each token has one, -100 where there is nothing to predict.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    rows: list[int]
