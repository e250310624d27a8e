"""One pruning in progress: a copy of the model, its sites, and the masks that hold so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from bench.methods.prune.arguments import PruneArguments
from bench.methods.prune.penalties import Penalty
from bench.methods.prune.saliencies import Saliency
from bench.methods.prune.selectors import SELECTORS, Selector
from bench.methods.prune.site import Site, Subject, element_masks
from bench.methods.prune.units import Matrix, Unit, Where, matrices
from bench.training.masks import MaskHook, apply_masks

if TYPE_CHECKING:
    from bench.methods.base.method import Lab, Target
    from bench.training.hooks import Hook
    from bench.training.objective import Term


class RunArguments(PruneArguments, Protocol):
    """What a pruning takes from its method, which is `Prune`."""

    @property
    def unit(self) -> Unit:
        """What is removed as a whole."""

    @property
    def saliency(self) -> Saliency:
        """What a unit is worth."""

    @property
    def selector(self) -> Selector | None:
        """Which units go, by their scores; None is the lowest within `scope`."""

    @property
    def penalty(self) -> Penalty | None:
        """The price on the units while they train."""

    @property
    def scope(self) -> str:
        """What is ranked together."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Which matrices, by role."""

    @property
    def biases(self) -> bool:
        """Whether the bias of a row is removed with it."""

    @property
    def freeze_embeddings(self) -> bool:
        """Whether the embedding tables stay as they are."""

    @property
    def target(self) -> float:
        """The sparsity; raises `MethodError` if none was asked for."""

    def tune(
        self, model: nn.Module, lab: Lab, *, share: float, hooks: Sequence[Hook], terms: Sequence[tuple[float, Term]]
    ) -> None:
        """Train for a share of the budget."""


class Pruning:
    """The pruning that a schedule controls. Scores, gates and masks are kept here, not in the model or the artifact.

    Args:
        model: pruned in place, on the device of training.
        method: the arguments of the stage.
        lab: see `Lab`.
        anchors: by the parameter's name, what a removed weight becomes in place of zero; weights are then scored by
            their distance from it.
    """

    def __init__(
        self, model: nn.Module, method: RunArguments, lab: Lab, *, anchors: Mapping[str, Tensor] | None = None
    ) -> None:
        self.model = model.to(lab.device)
        self.method = method
        self.lab = lab
        self.anchors = {name: anchor.to(lab.device) for name, anchor in (anchors or {}).items()}
        where = Where(targets=method.targets, biases=method.biases)
        self.sites: list[Site] = method.unit.sites(model, where)
        self.masks: dict[str, Tensor] = {
            site.name: torch.ones(site.count, dtype=torch.bool, device=site.pieces[0].parameter.device)
            for site in self.sites
        }

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        """Every parameter that a site has a piece of, by name, and with `biases` those that may go with a row."""
        pieces = {piece.name: piece.parameter for site in self.sites for piece in site.pieces}
        return {each.bias_name: each.bias for each in self._with_bias if each.bias is not None} | pieces

    @cached_property
    def _with_bias(self) -> list[Matrix]:
        """The matrices whose bias goes if a whole row of weights does, though it belongs to no unit."""
        if not self.method.biases:
            return []
        named = {piece.name for site in self.sites for piece in site.pieces}
        found = matrices(self.model, self.method.targets)
        return [each for each in found if each.name in named and each.bias is not None and each.bias_name not in named]

    @property
    def saliency(self) -> Saliency:
        """The saliency that was asked for."""
        return self.method.saliency

    @property
    def sparsity(self) -> float:
        """The share of all units that are removed."""
        total = sum(len(mask) for mask in self.masks.values())
        return 1.0 - sum(int(mask.sum()) for mask in self.masks.values()) / total

    def subject(self) -> Subject:
        """The model as it stands, for a saliency."""
        return Subject(model=self.model, lab=self.lab, seed=self.lab.seed, anchors=self.anchors)

    def scores(self) -> dict[str, Tensor]:
        """One score per unit, by site; -inf for removed units."""
        found = self.saliency.scores(self.sites, self.subject())
        return {name: score.masked_fill(~self.masks[name], float("-inf")) for name, score in found.items()}

    def cut(self, sparsity: float) -> None:
        """Remove units until the share `sparsity` of all is removed; units removed before stay removed."""
        self.keep(self.select(self.scores(), sparsity))

    def select(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """Which units stay if the share `sparsity` of all is removed, by their scores."""
        selector = self.method.selector or SELECTORS.made(self.method.scope)
        return selector.select(self.sites, scores, sparsity)

    def keep(self, masks: Mapping[str, Tensor]) -> None:
        """Keep exactly these units, and set the others to zero, or to their anchor."""
        self.masks = dict(masks)
        self.apply()

    def apply(self) -> None:
        """Put every removed weight to zero, or to its anchor, again."""
        apply_masks(self.parameters, self.element_masks(), anchors=self.anchors)

    def element_masks(self) -> dict[str, Tensor]:
        """The masks over weights by the parameter's name, True if the weight stays."""
        masks = element_masks(self.sites, self.masks)
        return masks | {each.bias_name: masks[each.name].any(1) for each in self._with_bias}

    def train(
        self, share: float, *, hooks: Sequence[Hook] = (), terms: Sequence[tuple[float, Term]] = (), masked: bool = True
    ) -> None:
        """Train for `share` of the budget with the penalty that was asked for.

        Removed weights stay fixed unless `masked` is False, for hooks that do this themselves.
        """
        method = self.method
        if method.penalty is not None and method.penalty.weight:
            hooks = [method.penalty.hook(self.sites), *hooks]
        if masked:
            hooks = [*hooks, MaskHook(self.parameters, self.element_masks(), anchors=self.anchors)]
        with _still(self.model, method.freeze_embeddings):
            method.tune(self.model, self.lab, share=share, hooks=hooks, terms=terms)

    def snapshot(self) -> dict[str, Tensor]:
        """Every tensor of the model, copied, for a later `rewind`."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def rewind(self, state: Mapping[str, Tensor], *, shuffle: int | None = None) -> None:
        """Reset the model to `state` bit for bit, except for removed weights.

        With a seed in `shuffle` the values of each pruned parameter change places by chance: the control of a new
        initialisation from the same distribution.
        """
        self.model.load_state_dict(state)
        if shuffle is not None:
            draws = torch.Generator().manual_seed(shuffle)
            with torch.no_grad():
                for parameter in self.parameters.values():
                    order = torch.randperm(parameter.numel(), generator=draws).to(parameter.device)
                    parameter.copy_(parameter.flatten()[order].view_as(parameter))
        self.apply()


@contextmanager
def _still(model: nn.Module, frozen: bool) -> Iterator[None]:
    """Inside, the embedding tables of `model` do not train if `frozen` is true."""
    from bench.models.adapter import adapter_for

    tables = [table.weight for table in adapter_for(model).embeddings(model).values()] if frozen else []
    tables = [weight for weight in tables if weight.requires_grad]
    try:
        for weight in tables:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in tables:
            weight.requires_grad_(True)
