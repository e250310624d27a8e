"""A second model that trains beside the first: one step of its own in each step of the training it stands beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.base.errors import TrainingError
from bench.spec.setting import Training
from bench.tasks.features import Batch
from bench.training.hooks import TrainState
from bench.training.loop import take_step
from bench.training.objective import Objective
from bench.training.optimizer import clip_gradients, make_optimizer, rate_at, set_rate


class Draws:
    """A stream of torch's random numbers of its own, so that what draws from it changes nothing that others draw."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cpu: Tensor | None = None
        self._cuda: list[Tensor] = []

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """While it lasts torch's global generators go on where this stream ended; afterwards they are as before."""
        devices = range(torch.cuda.device_count())
        with torch.random.fork_rng(devices=devices):
            if self._cpu is None:
                torch.manual_seed(self._seed)
            else:
                torch.set_rng_state(self._cpu)
                for device, state in zip(devices, self._cuda, strict=True):
                    torch.cuda.set_rng_state(state, device)
            yield
            self._cpu = torch.get_rng_state()
            self._cuda = [torch.cuda.get_rng_state(device) for device in devices]


class Beside:
    """The optimizer of a model beside the one that the loop trains, with the loop's schedule.

    With the objective, plan and seed of a training by itself the model takes the same steps, bit for bit on the CPU.

    Args:
        model: on the device of training; trained in place, in evaluation mode between its steps.
        plan: its peak rate, warm-up, weight decay and clipping.
        seed: of its dropout.
    """

    def __init__(self, model: nn.Module, *, plan: Training, seed: int) -> None:
        self.model = model
        self._draws = Draws(seed)
        self._plan = plan
        self._optimizer = make_optimizer(model, learning_rate=plan.learning_rate, weight_decay=plan.weight_decay)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that train, each once, in the optimizer's order."""
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    def step(self, state: TrainState, objective: Objective) -> Tensor:
        """One step on the batch of `state`, with dropout on; returns the detached loss."""
        own = dataclasses.replace(self._now(state), objective=objective)
        self.model.train()
        try:
            with self._draws.drawn():
                return take_step(own, batch_of(state), hooks=(), clip=self._plan.clip)
        finally:
            self.model.eval()

    def follow(self, state: TrainState, gradients: list[Tensor | None]) -> None:
        """One step along given gradients of `parameters`, which are clipped as any are."""
        own = self._now(state)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        clip_gradients(own.optimizer, self._plan.clip)
        own.optimizer.step()
        own.optimizer.zero_grad(set_to_none=True)

    def _now(self, state: TrainState) -> TrainState:
        """What a step of this model sees, with the rate of this step."""
        rate = rate_at(state.step, state.total_steps, peak=self._plan.learning_rate, warmup=self._plan.warmup)
        set_rate(self._optimizer, rate)
        return TrainState(
            model=self.model,
            optimizer=self._optimizer,
            step=state.step,
            total_steps=state.total_steps,
            kind=state.kind,
            batch=state.batch,
        )


def batch_of(state: TrainState) -> Batch:
    """The batch of a step that is under way."""
    if state.batch is None:
        raise TrainingError("a hook that trains a teacher was called outside a step: there is no batch")
    return state.batch
