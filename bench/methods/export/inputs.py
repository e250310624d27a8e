"""Training examples as a graph is called with them: one by one for calibration, or in one padded batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base.method import Lab
    from bench.tasks.features import Feature

_TOGETHER = 8  # in the padded batch


def alone(lab: Lab, examples: int) -> list[dict[str, Tensor]]:
    """The inputs of the first training examples, each by itself and so without padding."""
    from bench.tasks.batching import collate

    return [collate([each], pad_id=lab.tokenizer.pad_token_id).inputs for each in _some(lab, examples)]


def together(lab: Lab, examples: int) -> dict[str, Tensor]:
    """The inputs of training examples of different lengths, padded to the longest."""
    from bench.tasks.batching import collate

    return collate(spread(lab, examples), pad_id=lab.tokenizer.pad_token_id).inputs


def compared_on(lab: Lab, examples: int) -> tuple[int, list[dict[str, Tensor]]]:
    """How many training examples of different lengths, each by itself; then some of them in one padded batch."""
    from bench.tasks.batching import collate

    chosen, pad = spread(lab, examples), lab.tokenizer.pad_token_id
    some = chosen[:: max(1, len(chosen) // _TOGETHER)]
    return len(chosen), [*(collate([each], pad_id=pad).inputs for each in chosen), collate(some, pad_id=pad).inputs]


def spread(lab: Lab, examples: int) -> list[Feature]:
    """Up to `examples` training examples from the shortest to the longest, evenly spread by length."""
    known = sorted(_some(lab, len(lab.features)), key=lambda feature: feature.tokens)
    count = min(examples, len(known))
    return [known[(place * (len(known) - 1)) // max(1, count - 1)] for place in range(count)]


def _some(lab: Lab, examples: int) -> list[Feature]:
    found = [lab.features[place] for place in range(min(examples, len(lab.features)))]
    if not found:
        raise MethodError("export: there are no training examples to record, compare or calibrate the model with")
    return found
