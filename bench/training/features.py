"""Matching hidden states: a term of the objective that listens to a student and its teacher while they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.models.adapter import adapter_for
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.attention_scores import HeardAttention, score_errors
from bench.training.hooks import Hook, TrainState
from bench.training.objective import Term
from bench.training.terms.teacher import Teacher


class Heard:
    """What went into a model's first layer of each stack (its embeddings) and came out of every layer of its last run.

    Hooks are on the layers from `open` to `close`; `states` are [batch, length, width] in the order in which they
    came, those of a layer that runs in several positions once for each, and with each the name of the input that says
    which of its tokens are real.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._handles: list[Any] = []
        self.states: list[tuple[str, Tensor]] = []

    def open(self) -> None:
        """Start recording, with nothing recorded yet."""
        self.states.clear()
        adapter = adapter_for(self._model)
        stacks = adapter.stacks(self._model)
        for stack in stacks:
            mask = "decoder_attention_mask" if stack == "decoder" and len(stacks) > 1 else "attention_mask"
            layers = adapter.layers(self._model, stack)
            self._handles.append(layers[0].register_forward_pre_hook(self._first(mask), with_kwargs=True))
            for layer in dict.fromkeys(layers):
                self._handles.append(layer.register_forward_hook(self._each(mask)))

    def close(self) -> None:
        """Stop recording and discard what was recorded."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.states.clear()

    def _first(self, mask: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        """Keeps what the layer's first run is given; a shared layer runs again, on what is heard elsewhere."""
        done: list[bool] = []

        def keep(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if not done:
                self.states.append((mask, inputs[0] if inputs else named["hidden_states"]))
            done.append(True)

        return keep

    def _each(self, mask: str) -> Callable[[nn.Module, Any, Any], None]:
        """Keeps what the layer gives."""

        def keep(module: nn.Module, inputs: Any, outputs: Any) -> None:
            self.states.append((mask, outputs[0] if isinstance(outputs, tuple) else outputs))

        return keep


class _Ears:
    """All that is recorded of one model: its states and, with `attention`, the operands of its scores."""

    def __init__(self, model: nn.Module, *, attention: bool) -> None:
        self.layers = Heard(model)
        self.attention = HeardAttention(model) if attention else None

    def open(self) -> None:
        """Start listening."""
        self.layers.open()
        if self.attention is not None:
            self.attention.open()

    def close(self) -> None:
        """Stop listening."""
        self.layers.close()
        if self.attention is not None:
            self.attention.close()


class FeatureMatching(Hook, Term):
    """Mean squared error between the hidden states of a student and of a teacher of the same form.

    One term for the embeddings, each layer and the logits, each a mean over its elements; the loss is their mean.
    States of padding do not count. (Noach & Goldberg 2020, §2: their weights of the terms could not be read; here they
    are equal.) As a hook it listens to the student in each step; the teacher is run in the loss, without gradients.

    `summed` is TernaryBERT's form (Zhang et al. 2020, arXiv:2009.12812): the sum over the embeddings and the
    layers, and no term for the logits, which are left to the distillation loss.

    Args:
        teacher: on the device of training, in evaluation mode; it is never changed. A distillation term that has the
            same one and comes later in the objective does not run it again.
        attention: weight of the attention scores' mean over layers, or of their sum if `summed`; 0 leaves them out.
        summed: whether terms are summed.
    """

    def __init__(self, teacher: Teacher, *, attention: float = 0.0, summed: bool = False) -> None:
        self._teacher = teacher
        self._attention = attention
        self._summed = summed
        self._student: _Ears | None = None

    def before_step(self, state: TrainState) -> None:
        """Listen to the student."""
        self._student = self._ears(state.model)
        self._student.open()

    def after_step(self, state: TrainState) -> None:
        """Listen no more."""
        if self._student is not None:
            self._student.close()
        self._student = None

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """Without a step's hook, as on a fixed batch, the student is run once more."""
        teacher, again = self._ears(self._teacher.model), self._student is None
        student = self._ears(model) if self._student is None else self._student
        teacher.open()
        if again:
            student.open()
        try:
            wanted = self._teacher.run(batch)
            given = model(**batch.inputs) if again else outputs
            return self._compared(student, teacher, batch, [] if self._summed else _heads(kind, batch, given, wanted))
        finally:
            teacher.close()
            if again:
                student.close()

    def _compared(self, student: _Ears, teacher: _Ears, batch: Batch, logits: list[Tensor]) -> Tensor:
        pairs = zip(student.layers.states, teacher.layers.states, strict=True)
        states = [_squared(mine, its, batch.inputs.get(mask)) for (mask, mine), (_, its) in pairs]
        loss = self._joined([*states, *logits])
        if student.attention is not None and teacher.attention is not None:
            scores = score_errors(student.attention, teacher.attention, batch.inputs)
            loss = loss + self._attention * self._joined(scores)
        return loss

    def _joined(self, terms: list[Tensor]) -> Tensor:
        stacked = torch.stack(terms)
        return stacked.sum() if self._summed else stacked.mean()

    def _ears(self, model: nn.Module) -> _Ears:
        return _Ears(model, attention=bool(self._attention))


def _heads(kind: TaskKind, batch: Batch, student: Any, teacher: Any) -> list[Tensor]:
    """The mean squared difference of each head's logits."""
    heads = zip(kind.logits(student, batch), kind.logits(teacher, batch), strict=True)
    return [functional.mse_loss(mine.float(), its.float()) for mine, its in heads]


def _squared(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """The mean squared difference of states [batch, length, width] over real tokens; over all without a mask."""
    squares = (student.float() - teacher.detach().float()).square()
    if mask is None:
        return squares.mean()
    real = mask.to(squares)[:, :, None]
    return (squares * real).sum() / (real.sum() * squares.shape[-1])
