"""Mixed examples: the weighted mean of two examples' word embeddings, for a student and its teacher alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.models.adapter import adapter_for
from bench.tasks.features import Batch


class Mixture(NamedTuple):
    """How the examples of a batch are mixed: `share` of each, the rest of its partner, the one at `partners`.

    `share` is in [0, 1], `partners` a permutation [batch].
    """

    share: float
    partners: Tensor

    @classmethod
    def drawn(cls, batch: Batch, *, concentration: float, draws: np.random.Generator) -> Mixture:
        """A share by Beta(`concentration`, `concentration`) and a permutation, one of each for the whole batch."""
        ids = batch.inputs["input_ids"]
        partners = torch.from_numpy(draws.permutation(len(ids))).to(ids.device)
        return cls(float(draws.beta(concentration, concentration)), partners)


def require_embeddings(model: nn.Module, *, where: str) -> None:
    """Raise `MethodError` for a model that cannot be given word embeddings in place of tokens."""
    if not adapter_for(model).reads_embeddings(model):
        raise MethodError(
            f"{where}: {type(model).__name__} takes tokens only and no word embeddings (inputs_embeds), so examples "
            f"cannot be mixed for it. Choose another student or other data."
        )


def mixed_inputs(model: nn.Module, batch: Batch, mixture: Mixture) -> dict[str, Tensor]:
    """What `model` is called with for the mixed examples of a batch.

    `inputs_embeds` [batch, length, width] are the shares of both examples' word embeddings, before positions and
    segments are added; where one is shorter, the padding token's stand for it. `attention_mask` is the union of both
    masks; an example whose share is 0 has no part in it, so that a share of 1 gives the example itself. Other inputs,
    such as segment ids, are those of the example where it has a token, and those of its partner behind its end.
    """
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    share, partners = mixture
    words = adapter_for(model).word_embedding(model)(ids)  # [batch, length, width]
    own = mask.bool() if share > 0 else torch.zeros_like(mask, dtype=torch.bool)
    other = mask[partners].bool() if share < 1 else torch.zeros_like(own)
    rest = {
        name: torch.where(own, values, values[partners]) if share < 1 else values
        for name, values in batch.inputs.items()
        if name not in ("input_ids", "attention_mask")
    }
    return {
        **rest,
        "inputs_embeds": share * words + (1.0 - share) * words[partners],
        "attention_mask": (own | other).to(mask.dtype),
    }
