"""Quantization-aware training: weights and inputs that are rounded in every pass, over latent weights that learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from bench.methods.quantize.latent import Latent, Place
from bench.training.hooks import Hook, TrainState

if TYPE_CHECKING:
    from bench.layers.input_rounding import InputRounding
    from bench.methods.base.method import Lab
    from bench.methods.base.tuned import TunedMethod
    from bench.methods.quantize.grid import Coded
    from bench.training.objective import Term


class AwareTraining(Hook):
    """Runs a model on rounded numbers, and trains the numbers behind them (straight-through; Bengio et al. 2013).

    From before a step's forward pass until after its backward pass each place's parameter holds the values of its
    codes; the optimizer sees the latent weights, with the gradients towards the rounded ones (Jacob et al. 2018,
    arXiv:1712.05877, §3). Inputs are rounded by forward hooks for as long as `listening` is open, their ranges learn
    while the module trains and stay in evaluation. Nothing of this is in the model afterwards: `coded` says what to
    pack.

    Args:
        places: the matrices, each parameter once.
        inputs: the modules whose first input is rounded, and how.
    """

    def __init__(self, places: Sequence[Place], inputs: Mapping[nn.Module, InputRounding] | None = None) -> None:
        self._latent = [Latent(place) for place in places]
        self._of = {latent.place.parameter: latent for latent in self._latent}
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
        """Take the rounded weights away where there was nothing to learn in this step."""
        self._lift()

    def on_evaluate(self, state: TrainState) -> None:
        """Keep what codes depend on beside the weights."""
        self._read(state)

    def coded(self, parameter: Tensor) -> Coded:
        """The codes of one place, whose values are what the last pass in evaluation mode ran on."""
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
        """Tell the places where training is, and the curvature that the optimizer has found."""
        over = state.step == state.total_steps
        for latent in self._latent:
            moment = state.optimizer.state.get(latent.place.parameter, {}).get("exp_avg_sq")
            latent.read(state.step, moment, over=over)

    def _learn(self, state: TrainState) -> None:
        """One step of Adam for learned step sizes, each at the rate of the numbers that it rounds."""
        learned: list[Latent | InputRounding] = [*self._latent, *self.inputs.values()]
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
    method: TunedMethod,
    model: nn.Module,
    lab: Lab,
    aware: AwareTraining,
    *,
    share: float = 1.0,
    hooks: Sequence[Hook] = (),
    terms: Sequence[tuple[float, Term]] = (),
) -> None:
    """Train `model` in place on rounded numbers for `share` of the method's budget, with its objective and `terms`.

    The parameters are the latent ones afterwards, also where training fails.
    """
    with aware.listening():
        method.tune(model, lab, share=share, hooks=[aware, *hooks], terms=terms)


def _rounding(how: InputRounding) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if module.training:
            how.watch(inputs[0].detach())
        return (how(inputs[0]), *inputs[1:])

    return hook
