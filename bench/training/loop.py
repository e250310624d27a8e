"""The one training loop: references, students, pruned, shared and replaced models all go through it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.base.errors import TrainingError
from bench.layers.exits import exits_of
from bench.models.modules import without_cache
from bench.spec.setting import Training
from bench.tasks.batching import collate, length_batches
from bench.tasks.encoded import Encoded
from bench.tasks.features import Batch, Feature
from bench.tasks.kinds.kind import TaskKind
from bench.training.exits import EveryExit
from bench.training.hooks import Hook, TrainState
from bench.training.losses import LossLog
from bench.training.objective import Objective
from bench.training.optimizer import clip_gradients, make_optimizer, rate_at, set_rate

_EPOCH_SEEDS = 1_000_003  # distance between the seeds of two epochs, so that neighbouring seeds share no order


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """What a training run did: optimizer steps, seconds, and the loss of every step in order."""

    steps: int
    seconds: float
    final_loss: float
    losses: tuple[float, ...]


def train(
    model: nn.Module,
    features: Sequence[Feature],
    *,
    kind: TaskKind,
    pad_id: int,
    plan: Training,
    seed: int,
    device: str,
    objective: Objective | None = None,
    hooks: Sequence[Hook] = (),
    parameters: Iterable[nn.Parameter] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> TrainingLog:
    """Train `model` in place and leave it on `device`, in evaluation mode, without gradients.

    Batches hold examples of similar length in an order drawn from `seed`. AdamW with linear warm-up and decay,
    gradient clipping, dropout on; bfloat16 autocast on CUDA, float32 elsewhere. On the CPU the same seed gives the same
    weights for the same number of threads; the global random state is left as it was.

    Args:
        model: only its parameters with `requires_grad` are optimized.
        features: encoded training examples with targets.
        kind: supplies the task's loss and logits.
        pad_id: token id that fills short rows.
        plan: epochs (may be a fraction; at least one step is taken), batch size and the optimizer's settings.
        seed: of the order of the examples, of dropout and of what the kind draws (masked tokens).
        device: torch device name.
        objective: the task's loss unless given.
        hooks: called in order at each moment.
        parameters: exactly those to optimize; the model's by default.
        progress: called at least once per second with a sentence and the share done, in [0, 1].

    Raises:
        TrainingError: no examples, nothing to train, exits that the objective would leave behind, or a loss that is
            not finite (names the step).
    """
    if not features:
        raise TrainingError("no training examples: the training split is empty")
    objective = objective or Objective()
    _refuse_idle_exits(model, objective)
    started = time.perf_counter()
    model.to(device)
    optimizer = make_optimizer(
        model, learning_rate=plan.learning_rate, weight_decay=plan.weight_decay, parameters=parameters
    )
    total = _total_steps(features, plan)
    state = TrainState(model=model, optimizer=optimizer, step=0, total_steps=total, kind=kind, objective=objective)
    losses = LossLog(total, progress)
    with _seeded(seed), without_cache(model):
        model.train()
        try:
            drawn = batches(features, kind=kind, plan=plan, seed=seed, pad_id=pad_id, device=device, steps=total)
            for batch in drawn:
                set_rate(optimizer, rate_at(state.step, total, peak=plan.learning_rate, warmup=plan.warmup))
                state.batch = batch
                losses.add(take_step(state, batch, hooks=hooks, clip=plan.clip))
                state.step += 1
            losses.read()
        finally:
            model.eval()
            optimizer.zero_grad(set_to_none=True)
    for hook in hooks:
        hook.on_evaluate(state)
    model.eval()
    seconds = time.perf_counter() - started
    return TrainingLog(steps=total, seconds=seconds, final_loss=losses.values[-1], losses=tuple(losses.values))


def take_step(state: TrainState, batch: Batch, *, hooks: Sequence[Hook], clip: float) -> Tensor:
    """One forward pass, backward pass and update of the model of `state`, in its mode; returns the detached loss."""
    for hook in hooks:
        hook.before_step(state)
    on_cuda = batch.inputs["input_ids"].is_cuda
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=on_cuda):
        outputs = state.model(**batch.inputs)
        loss = state.objective.loss(state.model, batch, outputs, state.kind)
    if loss.requires_grad:  # a path of frozen layers only (module replacing) has nothing to learn in this step
        loss.backward()  # type: ignore[no-untyped-call]
        for hook in hooks:
            hook.after_backward(state)
        clip_gradients(state.optimizer, clip)
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
    for hook in hooks:
        hook.after_step(state)
    return loss.detach()


def _refuse_idle_exits(model: nn.Module, objective: Objective) -> None:
    """The last exit alone would be trained, and the others would go on reading what is no longer there."""
    if exits_of(model) is not None and not any(isinstance(term, EveryExit) for _, term in objective.terms):
        raise TrainingError(
            f"this {type(model).__name__} has exits, and a training that is not theirs would change the layers that "
            f"they read. Train first and put the method exits after it, or give this stage budget = 0."
        )


def _lengths(features: Sequence[Feature]) -> list[int]:
    return features.lengths() if isinstance(features, Encoded) else [feature.tokens for feature in features]


def _total_steps(features: Sequence[Feature], plan: Training) -> int:
    """Batches per epoch times epochs, rounded, at least 1."""
    each = len(length_batches(_lengths(features), batch_size=plan.batch_size, seed=0))
    return max(1, round(plan.epochs * each))


def batches(
    features: Sequence[Feature], *, kind: TaskKind, plan: Training, seed: int, pad_id: int, device: str, steps: int
) -> Iterator[Batch]:
    """Exactly `steps` batches on `device`, epoch after epoch; their `rows` are positions in `features`.

    Random choices of a kind (masked tokens) are drawn from `seed`, again each time that a feature is used.
    """
    lengths, draws = _lengths(features), random.Random(seed)
    epoch = 0
    while True:
        for rows in length_batches(lengths, batch_size=plan.batch_size, seed=seed + _EPOCH_SEEDS * epoch):
            batch = collate([kind.anew(features[row], draws) for row in rows], pad_id=pad_id)
            yield batch.to(device)._replace(rows=rows)
            steps -= 1
            if steps == 0:
                return
        epoch += 1


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's global random state starts at `seed` inside the context and is restored afterwards."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
