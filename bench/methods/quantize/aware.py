"""Quantization-aware training: weights and inputs that are rounded in every pass, over latent weights that learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from bench.base.errors import MethodError
from bench.layers.input_rounding import InputRounding
from bench.methods.quantize.grid import CellBounds
from bench.training.hooks import Hook, TrainState

if TYPE_CHECKING:
    from bench.methods.base.method import Lab
    from bench.methods.base.trained import TrainedMethod
    from bench.methods.quantize.grid import Coded
    from bench.methods.quantize.site import WeightSite
    from bench.methods.quantize.work import Quantization, RoundedParameter
    from bench.training.objective import Term

_STEPS_PER_SEARCH = 100  # a range that is searched for is found anew after so many steps


class LatentWeights:
    """The state of one matrix in training: its latent weights while rounded ones stand in the parameter, and its range.

    `step` is the learned step [groups, buckets] of range 'learned', None without it; `size` is the root mean square of
    the weights at the start: a step learns at the rate times this size, so that it and the weights that it rounds move
    by like shares of themselves.
    """

    def __init__(self, matrix: RoundedParameter) -> None:
        self.matrix = matrix
        self.step: nn.Parameter | None = None
        self.size = 0.0
        self._range = matrix.quantizer.range
        self._grid = matrix.quantizer.grid
        self._weights: Tensor | None = None
        self._moments: Tensor | None = None
        self._found: CellBounds | None = None
        if self._range.learned:
            self._begin()

    def stand(self) -> None:
        """Put the rounded values into the parameter; no number of the latent weights is copied."""
        parameter = self.matrix.parameter
        if self.step is not None:
            self.step.data = self.step.data.to(parameter.device)
        self._weights = parameter.data
        parameter.data = self._rounded(self._weights)

    def lift(self) -> None:
        """Put the latent weights back; does nothing if they are there."""
        if self._weights is not None:
            self.matrix.parameter.data = self._weights
        self._weights = None

    def read(self, step: int, moment: Tensor | None, *, over: bool) -> None:
        """Take in the second moment of the gradient, and forget a range that is due to be searched for again."""
        if self._grid.curved:
            like = self.matrix.parameter
            self._moments = torch.ones_like(like) if moment is None else moment.sqrt()
        if over or step % _STEPS_PER_SEARCH == 0:
            self._found = None

    def pull(self) -> None:
        """Turn the gradient towards the rounded values, in matrix, into that of the latent weights, and of the step."""
        gradient, weights = self.matrix.parameter.grad, self._weights
        if gradient is None or weights is None or not self._range.clips:
            return
        bounds = self._bounds(weights)
        cells = self.matrix.cells
        inside = (weights >= cells.whole(bounds.low)) & (weights <= cells.whole(bounds.high))
        if self.step is not None:
            scaled = weights / cells.whole(self.step.detach())
            most = self._most
            change = torch.where(inside, scaled.round() - scaled, scaled.clamp(-most, most))
            # Esser et al. 2020, §2.2: 1 / sqrt(n Qp), n the weights that share the step.
            share = 1 / (cells.sizes().to(weights.device) * most).sqrt()
            self.step.grad = cells.reduce(gradient * change, "sum") * share
        gradient.mul_(inside)

    def coded(self) -> Coded:
        """The codes of the latent weights."""
        weights = self._weights if self._weights is not None else self.matrix.parameter.data
        matrix = self.matrix
        bounds = self._bounds(weights) if self._grid.ranged else None
        return matrix.quantizer.code(weights, matrix.cells, matrix.bits, moments=self._given(weights), bounds=bounds)

    def _rounded(self, weights: Tensor) -> Tensor:
        matrix = self.matrix
        bounds = self._bounds(weights) if self._grid.ranged else None
        return matrix.quantizer.rounded(weights, matrix.cells, matrix.bits, moments=self._given(weights), bounds=bounds)

    def _given(self, weights: Tensor) -> Tensor | None:
        return torch.ones_like(weights) if self._grid.curved and self._moments is None else self._moments

    @property
    def _most(self) -> int:
        return int(2 ** (self.matrix.bits - 1) - 1)

    def _bounds(self, weights: Tensor) -> CellBounds:
        if self.step is not None:
            high = self.step.detach() * self._most
            return CellBounds(-high, high)
        matrix = self.matrix
        found = self._found
        if found is None:
            found = matrix.quantizer.bounds(weights.float(), matrix.cells, matrix.bits)
        self._found = found if self._range.searched else None
        return found

    def _begin(self) -> None:
        """The step from which learning starts: 2 mean |w| / sqrt(Qp) (Esser et al. 2020, §2.1)."""
        weights, matrix = self.matrix.parameter.detach(), self.matrix
        bounds = matrix.quantizer.bounds(weights.float(), matrix.cells, matrix.bits)
        self.step = nn.Parameter(bounds.high / self._most)
        self.size = math.sqrt(float(weights.square().mean()))


class AwareTraining(Hook):
    """Runs a model on rounded numbers, and trains the numbers behind them (straight-through; Bengio et al. 2013).

    From before a step's forward pass until after its backward pass each matrix's parameter holds the values of its
    codes; the optimizer sees the latent weights, with the gradients towards the rounded ones (Jacob et al. 2018,
    arXiv:1712.05877, §3). Inputs are rounded by forward hooks for as long as `listening` is open, their ranges learn
    while the module trains and stay in evaluation. Nothing of this is in the model afterwards: `coded` says what to
    pack.

    Args:
        matrices: the matrices, each parameter once.
        inputs: the modules whose first input is rounded, and how.
    """

    def __init__(
        self, matrices: Sequence[RoundedParameter], inputs: Mapping[nn.Module, InputRounding] | None = None
    ) -> None:
        self._latent = [LatentWeights(matrix) for matrix in matrices]
        self._of = {latent.matrix.parameter: latent for latent in self._latent}
        self.inputs = dict(inputs or {})
        self._stands = False
        self._optimizer: Adam | None = None

    def before_step(self, state: TrainState) -> None:
        """Put the rounded weights in front."""
        self._read(state)
        self._stand()

    @torch.no_grad()
    def after_backward(self, state: TrainState) -> None:
        """Turn the gradients towards rounded weights into those of latent ones, and train learned steps."""
        for latent in self._latent:
            latent.pull()
        self._lift()
        self._learn(state)

    def after_step(self, state: TrainState) -> None:
        """Take the rounded weights away if there was nothing to learn in this step."""
        self._lift()

    def on_evaluate(self, state: TrainState) -> None:
        """Keep what codes depend on beside the weights."""
        self._read(state)

    def coded(self, parameter: Tensor) -> Coded:
        """The codes of one matrix, whose values are what the last pass in evaluation mode ran on."""
        return self._of[parameter].coded()  # type: ignore[index]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Round inputs as long as the context is open; afterwards no rounded weight is left in front of the model."""
        handles = [module.register_forward_pre_hook(_rounding(how)) for module, how in self.inputs.items()]
        try:
            yield
        finally:
            self._lift()
            for handle in handles:
                handle.remove()

    @contextmanager
    def standing(self) -> Iterator[None]:
        """The model on rounded weights and inputs, as it is run once packed, as long as the context is open."""
        with self.listening():
            self._stand()
            yield

    @torch.no_grad()
    def _stand(self) -> None:
        self._stands = True
        for latent in self._latent:
            latent.stand()

    def _lift(self) -> None:
        if self._stands:
            for latent in self._latent:
                latent.lift()
        self._stands = False

    def _read(self, state: TrainState) -> None:
        """Tell the matrices where training is, and the curvature that the optimizer has found."""
        over = state.step == state.total_steps
        for latent in self._latent:
            moment = state.optimizer.state.get(latent.matrix.parameter, {}).get("exp_avg_sq")
            latent.read(state.step, moment, over=over)

    def _learn(self, state: TrainState) -> None:
        """One step of Adam for learned step sizes, each at the rate of the numbers that it rounds."""
        learned: list[LatentWeights | InputRounding] = [*self._latent, *self.inputs.values()]
        sizes = [(each.step, each.size) for each in learned if each.step is not None]
        if not sizes:
            return
        if self._optimizer is None:
            self._optimizer = Adam([{"params": [step]} for step, _ in sizes])
        for group, (_, size) in zip(self._optimizer.param_groups, sizes, strict=True):
            group["lr"] = rate_of(state.optimizer) * size
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        for step, size in sizes:
            step.clamp_(min=1e-4 * size)


def rate_of(optimizer: Optimizer) -> float:
    """The learning rate of the step."""
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def train_aware(
    method: TrainedMethod,
    model: nn.Module,
    lab: Lab,
    aware: AwareTraining,
    *,
    share: float = 1.0,
    hooks: Sequence[Hook] = (),
    terms: Sequence[tuple[float, Term]] = (),
) -> None:
    """Train `model` in matrix on rounded numbers for `share` of the method's budget, with its objective and `terms`.

    The parameters are the latent ones afterwards, also if training fails.
    """
    with aware.listening():
        method.tune(model, lab, share=share, hooks=[aware, *hooks], terms=terms)


def _rounding(how: InputRounding) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if module.training:
            how.watch(inputs[0].detach())
        return (how(inputs[0]), *inputs[1:])

    return hook


def prepared(
    work: Quantization, sites: Sequence[WeightSite], bits: Mapping[str, int], inputs: Mapping[nn.Module, InputRounding]
) -> AwareTraining:
    """What stands in front of the weights of `sites`, at `bits` by name, and of `inputs`; nothing is trained yet."""
    matrices: list[RoundedParameter] = []
    for site in sites:
        for weight in site.weights.values():
            if not isinstance(weight, nn.Parameter):
                raise MethodError(f"quantize: {site.name} has no parameter, so it cannot be trained")
            matrices.append(work.rounded(site, weight, bits[site.name]))
    return AwareTraining(matrices, inputs)


def trained(
    work: Quantization, sites: Sequence[WeightSite], bits: Mapping[str, int], inputs: Mapping[nn.Module, InputRounding]
) -> AwareTraining:
    """`prepared`, and trained for the budget, if there is one."""
    aware = prepared(work, sites, bits, inputs)
    train_aware(work.training, work.model, work.lab, aware)
    return aware
