"""Gates that train with the weights: multipliers that are in front of them during a step, and never between two."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.prune.arguments import Curve
from bench.methods.prune.selectors import largest
from bench.methods.prune.site import Site, SitePiece
from bench.training.hooks import Hook, TrainState
from bench.training.objective import Term
from bench.training.optimizer import rate_at

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning
    from bench.tasks.features import Batch
    from bench.tasks.kinds.kind import TaskKind


class Gates(ABC):
    """One learned number per unit, its score, and the multipliers that scores make of it at each step.

    Args:
        sites: whose units they are.
        start: every score before training.
    """

    def __init__(self, sites: Sequence[Site], *, start: float) -> None:
        self.sites = tuple(sites)
        self.scores = {site.name: nn.Parameter(_filled(site, start)) for site in sites}

    @property
    def learned(self) -> list[nn.Parameter]:
        """Everything that the optimizer of the scores trains."""
        return list(self.scores.values())

    @abstractmethod
    def multipliers(self, step: int, total: int) -> dict[str, Tensor]:
        """What each unit is multiplied by at `step` of `total`, [count] by the site's name."""

    @abstractmethod
    def learn(self, name: str, gradient: Tensor) -> None:
        """Take in the loss's gradient towards the last multipliers of the site `name`, [count]."""

    def price(self) -> Tensor | None:
        """What is added to the objective at this step, a scalar; None if nothing is."""
        return None


class StraightGates(Gates):
    """Gates of 0 or 1 with straight-through gradients to the score (Bengio et al. 2013)."""

    @override
    def learn(self, name: str, gradient: Tensor) -> None:
        score = self.scores[name]
        score.grad = gradient if score.grad is None else score.grad.add_(gradient)


class GatePrice(Term):
    """The price of gates as a term of the objective."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: object, kind: TaskKind) -> Tensor:
        price = self._gates.price()
        return torch.zeros((), device=next(model.parameters()).device) if price is None else price


def adam(scores: Sequence[nn.Parameter]) -> Optimizer:
    """AdamW without decay, which would pull every score to its threshold."""
    fused = all(score.device.type in ("cpu", "cuda") for score in scores)
    return AdamW(scores, lr=1.0, weight_decay=0.0, fused=fused)


class GateHook(Hook):
    """Multiplies weights by their gates before each step, and gives both their gradients after it.

    With W' = anchor + (W - anchor) z (anchor 0 without a task's change), autograd sees W' where W is stored, so that no
    module, parameter or optimizer knows of the gates. Then dL/dW = dL/dW' z, and dL/dz is the sum of dL/dW' (W -
    anchor) over the unit's cells at the pieces that act (Sanh et al. 2020, arXiv:2005.07683, eq. 4). Pieces that do not
    act follow the final mask only. The scores have their own optimizer, and their gradients are not clipped.

    Args:
        gates: the scores and how they become multipliers.
        rate: peak learning rate of the scores, with the warm-up and decay of the weights'.
        warmup: share of the steps in which the rate rises.
        anchors: by the parameter's name, what a closed gate leaves in place of zero.
        optimizer: makes the optimizer of the scores; its learning rate is set at each step.
    """

    def __init__(
        self,
        gates: Gates,
        *,
        rate: float,
        warmup: float,
        anchors: Mapping[str, Tensor] | None = None,
        optimizer: Callable[[Sequence[nn.Parameter]], Optimizer] = adam,
    ) -> None:
        _refuse_overlaps(gates.sites)
        self._gates = gates
        self._rate = rate
        self._warmup = warmup
        self._anchors = anchors or {}
        self._optimizer = optimizer(gates.learned)
        self._raw: dict[str, Tensor] = {}
        self._standing: dict[str, Tensor] = {}  # the multipliers by site while they are in front of weights

    @torch.no_grad()
    def before_step(self, state: TrainState) -> None:
        """Put the gates of this step in front of the weights."""
        self._standing = self._gates.multipliers(state.step, state.total_steps)
        for site in self._gates.sites:
            for piece in site.acting:
                if piece.name not in self._raw:
                    self._raw[piece.name] = torch.empty_like(piece.parameter)
                self._raw[piece.name].copy_(piece.parameter)
        fold(self._gates.sites, self._standing, self._anchors)

    @torch.no_grad()
    def after_backward(self, state: TrainState) -> None:
        """Turn the gradients towards gated weights into those of weights and scores, and train the scores."""
        for site in self._gates.sites:
            values = self._standing[site.name]
            pulls = {piece.name: self._pull(piece) for piece in site.acting}
            self._gates.learn(site.name, site.pooled(pulls, "sum", acting=True))
            for piece in site.acting:
                if piece.parameter.grad is not None:
                    piece.parameter.grad.mul_(piece.expand(values))
        self.lift()
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(state.step, state.total_steps, peak=self._rate, warmup=self._warmup)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def after_step(self, state: TrainState) -> None:
        """Take the gates away if there was nothing to learn in this step."""
        self.lift()

    @torch.no_grad()
    def lift(self) -> None:
        """Put the weights behind the gates back; does nothing if none stands."""
        if self._standing:
            for site in self._gates.sites:
                for piece in site.acting:
                    piece.parameter.copy_(self._raw[piece.name])
        self._standing = {}

    def _pull(self, piece: SitePiece) -> Tensor:
        """dL/dz of each element, before it is summed over a unit."""
        raw, gradient = self._raw[piece.name], piece.parameter.grad
        if gradient is None:
            return torch.zeros_like(raw)
        anchor = self._anchors.get(piece.name)
        return gradient * (raw if anchor is None else raw - anchor)


@torch.no_grad()
def fold(sites: Sequence[Site], values: Mapping[str, Tensor], anchors: Mapping[str, Tensor]) -> None:
    """Multiply in place what stands behind each gate by its value, [count] by site; closed gates leave the anchor."""
    for site in sites:
        for piece in site.acting:
            wide, anchor = piece.expand(values[site.name]), anchors.get(piece.name)
            if anchor is None:
                piece.parameter.mul_(wide)
            else:
                piece.parameter.sub_(anchor).mul_(wide).add_(anchor)


def train_gates(pruning: Pruning, gates: Gates, *, rate: float, share: float = 1.0) -> None:
    """Train weights and gates, these at `rate`, for `share` of the budget; afterwards the weights are without gates."""
    hook = GateHook(gates, rate=rate, warmup=pruning.lab.plan.warmup, anchors=pruning.anchors)
    try:
        pruning.train(share, hooks=[hook], terms=[(1.0, GatePrice(gates))], masked=False)
    finally:
        hook.lift()


def _filled(site: Site, value: float) -> Tensor:
    return torch.full((site.count,), value, device=site.pieces[0].parameter.device)


def _refuse_overlaps(sites: Sequence[Site]) -> None:
    owners: dict[int, str] = {}
    for site in sites:
        if not site.acting:
            raise MethodError(f"prune: {site.name} has no tensor for a gate, so its gates cannot be learned")
        for piece in site.acting:
            owner = owners.setdefault(id(piece.parameter), site.name)
            if owner != site.name:
                raise MethodError(
                    f"prune: gates of '{owner}' and of '{site.name}' both act on {piece.name}. Choose units that do "
                    f"not overlap, or prune them in separate stages."
                )


class TopScores(StraightGates):
    """Keep the units of largest score; the removed share is the curve times the final sparsity.

    Args:
        pruning: what is pruned.
        curve: how far pruning has come at a step of so many, from 0 to 1.
        starts: every score before training, [count] by the site's name; None is 0.
    """

    def __init__(self, pruning: Pruning, curve: Curve, starts: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(pruning.sites, start=0.0)
        for name, values in (starts or {}).items():
            self.scores[name].data.copy_(values)
        self._select = pruning.select
        self._target = pruning.method.target
        self._curve = curve

    @override
    def multipliers(self, step: int, total: int) -> dict[str, Tensor]:
        return self.masks(self._target * self._curve(step, total))

    def masks(self, sparsity: float) -> dict[str, Tensor]:
        """Which units stay if `sparsity` of them go, bool [count] by site."""
        scores = {name: score.detach() for name, score in self.scores.items()}
        return self._select(scores, sparsity)


class ThresholdScores(StraightGates):
    """A unit stays if sigmoid(score) > tau, which the curve raises together with the price of scores.

    Args:
        pruning: what is pruned.
        curve: how far tau and the price have come at a step of so many, from 0 to 1.
        threshold: tau at the end.
        least: share of each site that stays in any case.
        weight: price of the scores at the end.
    """

    def __init__(self, pruning: Pruning, curve: Curve, *, threshold: float, least: float, weight: float) -> None:
        super().__init__(pruning.sites, start=0.0)
        self._threshold = threshold
        self._least = least
        self._weight = weight
        self._curve = curve
        self._stage = 0.0
        self._wanted = pruning.method.sparsity
        self._gone = 0.0

    @override
    def multipliers(self, step: int, total: int) -> dict[str, Tensor]:
        self._stage = self._curve(step, total)
        masks = self.masks(self._threshold * self._stage)
        self._gone = 1.0 - float(torch.cat(list(masks.values())).float().mean())
        return masks

    def masks(self, tau: float) -> dict[str, Tensor]:
        """Which units stay at the threshold `tau`, bool [count] by site; of each site at least a few.

        Those few are int(least n) + 1 units, as in the code of both papers.
        """
        bound = math.log(tau / (1.0 - tau)) if tau > 0 else -math.inf
        found = {}
        for name, parameter in self.scores.items():
            score = parameter.detach()
            kept = score > bound
            fewest = min(int(self._least * len(score)) + 1, len(score))
            found[name] = kept if int(kept.sum()) >= fewest else largest(score, len(score) - fewest)
        return found

    def price(self) -> Tensor | None:
        """lambda tau_t / tau times the mean over sites of mean sigmoid(score); None once enough is removed."""
        factor = self._weight * self._stage
        if not factor or (self._wanted is not None and self._gone >= self._wanted):
            return None
        return factor * torch.stack([torch.sigmoid(score).mean() for score in self.scores.values()]).mean()
