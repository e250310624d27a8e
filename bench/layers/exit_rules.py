"""When an input leaves a model at one of its exits, and with which answer, by what the exits so far said."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from bench.layers.layer import LAYER_KINDS, StoredModule

Said = Sequence[Tensor]  # what each exit so far said of the rows that are left, [rows, classes], the latest last


class ExitRule(StoredModule):
    """Decides for each row by itself, so that a row leaves at the same exit alone and in any batch, but for rounding.

    It holds no tensor and no state. With one output per row (regression) the logits are [rows, 1].
    """

    decides: ClassVar[bool] = True  # False: no row ever leaves early, so internal exits need not be computed

    @abstractmethod
    def leaves(self, said: Said) -> Tensor:
        """Which rows leave now, bool [rows]."""

    def answer(self, said: Said) -> Tensor:
        """The logits [rows, classes] with which they leave: by default what the latest exit said."""
        return said[-1]

    @override
    def arguments(self) -> dict[str, Any]:
        return {}

    @override
    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.arguments().items())


@LAYER_KINDS.register("exit-never")
class NeverRule(ExitRule):
    """Every row runs every layer."""

    kind: ClassVar[str] = "exit-never"
    decides: ClassVar[bool] = False

    @override
    def leaves(self, said: Said) -> Tensor:
        return torch.zeros(len(said[-1]), dtype=torch.bool, device=said[-1].device)


class ThresholdRule(ExitRule):
    """A rule that compares one number per row with a threshold."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    @override
    def arguments(self) -> dict[str, Any]:
        return {"threshold": self.threshold}


@LAYER_KINDS.register("exit-entropy")
class EntropyRule(ThresholdRule):
    """A row leaves if the entropy of its distribution, in nats, is below a threshold."""

    kind: ClassVar[str] = "exit-entropy"

    @override
    def leaves(self, said: Said) -> Tensor:
        logs = said[-1].float().log_softmax(dim=-1)
        return -(logs.exp() * logs).sum(dim=-1) < self.threshold


@LAYER_KINDS.register("exit-confidence")
class ConfidenceRule(ThresholdRule):
    """A row leaves if its largest probability is above a threshold."""

    kind: ClassVar[str] = "exit-confidence"

    @override
    def leaves(self, said: Said) -> Tensor:
        return said[-1].float().softmax(dim=-1).amax(dim=-1) > self.threshold


@LAYER_KINDS.register("exit-patience")
class PatienceRule(ExitRule):
    """A row leaves after `patience` agreements in a row of an exit with the one before it.

    Two exits agree if their classes are equal; for regression, if they differ by less than `tolerance`, in units of the
    score. The earliest exit is after layer patience + 1.
    """

    kind: ClassVar[str] = "exit-patience"

    def __init__(self, patience: int, tolerance: float) -> None:
        super().__init__()
        self.patience, self.tolerance = patience, tolerance

    @override
    def arguments(self) -> dict[str, Any]:
        return {"patience": self.patience, "tolerance": self.tolerance}

    @override
    def leaves(self, said: Said) -> Tensor:
        if len(said) <= self.patience:
            return torch.zeros(len(said[-1]), dtype=torch.bool, device=said[-1].device)
        recent = torch.stack(list(said[-self.patience - 1 :]))  # [patience + 1, rows, classes]
        if recent.size(-1) == 1:
            return ((recent[1:] - recent[:-1]).abs() < self.tolerance).all(dim=0).squeeze(-1)
        classes = recent.argmax(dim=-1)
        return (classes == classes[0]).all(dim=0)


@LAYER_KINDS.register("exit-vote")
class VoteRule(ExitRule):
    """A row leaves as soon as `votes` of the exits so far name the same class, which need not be in a row.

    The answer is the class with most votes, of equally many the one that the latest exit likes best: the logarithm of
    the mean distribution of the exits that voted for it, so that there are probabilities too. So is the answer of a row
    that runs every layer; the last exit is then one voter among all.
    """

    kind: ClassVar[str] = "exit-vote"

    def __init__(self, votes: int) -> None:
        super().__init__()
        self.votes = votes

    @override
    def arguments(self) -> dict[str, Any]:
        return {"votes": self.votes}

    @override
    def leaves(self, said: Said) -> Tensor:
        if len(said) < self.votes:
            return torch.zeros(len(said[-1]), dtype=torch.bool, device=said[-1].device)
        return _votes(torch.stack(list(said))).amax(dim=-1) >= self.votes

    @override
    def answer(self, said: Said) -> Tensor:
        exits = torch.stack(list(said)).float()  # [exits, rows, classes]
        counts = _votes(exits)
        shares = exits.softmax(dim=-1)
        winner = (counts + shares[-1] / 2).argmax(dim=-1)  # half a vote decides between equal counts only
        voted = (exits.argmax(dim=-1) == winner)[..., None]  # [exits, rows, 1]
        mean = (shares * voted).sum(dim=0) / voted.sum(dim=0)
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log().to(said[-1].dtype)


def _votes(exits: Tensor) -> Tensor:
    """How many of the exits [exits, rows, classes] name each class, [rows, classes]."""
    return torch.nn.functional.one_hot(exits.argmax(dim=-1), exits.size(-1)).sum(dim=0)
