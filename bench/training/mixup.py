"""Mixed examples: the weighted mean of two examples' word embeddings, for a student and its teacher alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.models.adapter import adapter_for
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.objective import Term
from bench.training.terms.teacher import Teacher


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


class MixedTerm(Term):
    """What MixKD adds to the losses on the examples as they are (Liang et al. 2021, arXiv:2011.00593, §3).

    For a new mixture in each step: `labels` times the task's loss of the student's outputs, against the labels of the
    examples and of their partners in the shares of the mixture (for cross-entropy that is the loss against the mixed
    label, for squared errors too, up to a constant); and `logits` times the mean squared difference between the
    student's and each teacher's outputs. The teacher reads the same mixture, without gradients.

    Args:
        teachers: frozen; none if `logits` is 0.
        concentration: a of Beta(a, a), from which shares are drawn.
        labels: weight of the task's loss; 0 needs no labels.
        logits: weight of the squared difference.
        seed: of shares and partners, apart from the seed of dropout.
    """

    def __init__(
        self, teachers: Sequence[Teacher], *, concentration: float, labels: float, logits: float, seed: int
    ) -> None:
        self._teachers = teachers
        self._concentration = concentration
        self._labels = labels
        self._logits = logits
        self._draws = np.random.default_rng(seed)

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """The weighted sum; the student is run once more, on the mixed batch."""
        return self.mixed_loss(model, batch, kind, self.mixture(batch))

    def mixture(self, batch: Batch) -> Mixture:
        """The next mixture."""
        return Mixture.drawn(batch, concentration=self._concentration, draws=self._draws)

    def mixed_loss(self, model: nn.Module, batch: Batch, kind: TaskKind, mixture: Mixture) -> Tensor:
        """The same for a given mixture."""
        mine = model(**mixed_inputs(model, batch, mixture))
        loss = batch.inputs["input_ids"].new_zeros((), dtype=torch.float32)
        if self._labels:
            share, partners = mixture
            others = {name: values[partners] for name, values in batch.targets.items()}
            own = share * kind.loss(mine, batch.targets) + (1.0 - share) * kind.loss(mine, others)
            loss = loss + self._labels * own
        for teacher in self._teachers if self._logits else ():
            with torch.no_grad():
                its = teacher.model(**mixed_inputs(teacher.model, batch, mixture))
            heads = zip(kind.logits(mine, batch), kind.logits(its, batch), strict=True)
            differences = [functional.mse_loss(a.float(), b.float()) for a, b in heads]
            loss = loss + self._logits * torch.stack(differences).mean()
        return loss
