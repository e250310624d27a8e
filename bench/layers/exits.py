"""Early exit: internal classifiers after every layer, a stack that rows leave, and the output that collects them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import ModelError
from bench.layers.adaptive import AdaptiveStack, in_form_of, state_of
from bench.layers.exit_rules import ExitRule, NeverRule
from bench.layers.layer import LAYER_KINDS, StoredModule

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "relu": functional.relu,
}


@LAYER_KINDS.register("exit-head")
class ExitHead(StoredModule):
    """The classifier of one internal exit: out(dropout(activation(dense(state of the first token)))).

    Args:
        width: of the hidden states.
        inner: width between the two maps.
        outputs: logits per row.
        activation: "tanh" (BERT, RoBERTa), "gelu" (ELECTRA) or "relu" (DistilBERT).
        dropout: probability in training.
    """

    kind: ClassVar[str] = "exit-head"
    beside: ClassVar[bool] = True
    open: ClassVar[bool] = True

    def __init__(self, width: int, inner: int, outputs: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.width, self.inner, self.outputs = width, inner, outputs
        self.activation, self.dropout = activation, dropout
        self._activate = _ACTIVATIONS[activation]
        self.dense: nn.Module = nn.Linear(width, inner)
        self.out: nn.Module = nn.Linear(inner, outputs)

    @override
    def arguments(self) -> dict[str, Any]:
        names = ("width", "inner", "outputs", "activation", "dropout")
        return {name: getattr(self, name) for name in names}

    def forward(self, hidden: Tensor) -> Tensor:
        """[batch, length, width] to logits [batch, outputs]."""
        pooled = self._activate(self.dense(hidden[:, 0]))
        logits: Tensor = self.out(functional.dropout(pooled, self.dropout, self.training))
        return logits


class _Left(NamedTuple):
    """A call in which rows may have left: of how many, which are still there, and who left with which logits."""

    size: int
    rows: Tensor
    said: list[Tensor]
    gone: list[tuple[Tensor, Tensor]]


@LAYER_KINDS.register("exit-heads")
class ExitHeads(StoredModule):
    """The internal exits of a model, after each of its layers but the last, and the rule by which rows leave.

    It stands in two places, in the stack and at the output, and so hands over what was decided from one to the other.
    `equilibrium` rescales gradients in training, see `ExitStack`; it is not stored.
    """

    kind: ClassVar[str] = "exit-heads"
    beside: ClassVar[bool] = True
    open: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.rule: ExitRule = NeverRule()
        self.equilibrium = False
        self._left: _Left | None = None
        self._said: list[Tensor] | None = None

    @override
    def arguments(self) -> dict[str, Any]:
        return {}

    def adopt(self, heads: list[ExitHead]) -> ExitHeads:
        """Take `heads` as those after the first layer, the second, and so on, and return itself."""
        for number, head in enumerate(heads, start=1):
            self.add_module(str(number), head)
        return self

    def after(self, layer: int) -> ExitHead:
        """The exit after a layer, which are counted from 1."""
        head = self._modules[str(layer)]
        if not isinstance(head, ExitHead):
            raise ModelError(f"there is no exit after layer {layer}")
        return head

    def teach(self, said: list[Tensor]) -> None:
        """Keep the logits of all internal exits, with their gradient, for the objective."""
        self._said = said

    def taught(self) -> list[Tensor]:
        """The logits of every internal exit in the last call in training, [batch, outputs] each; taken once."""
        if self._said is None:
            raise ModelError("the exits have said nothing, because the model has not run in training mode since")
        said, self._said = self._said, None
        return said

    def hand_over(self, left: _Left) -> None:
        """Keep what a call decided until the output takes it."""
        self._left = left

    def collected(self, own: Tensor) -> Tensor:
        """The logits of every row of the call [batch, outputs]: of those that left early, and of those in `own`.

        Args:
            own: what the last exit said of the rows that were left, [rows, outputs].
        """
        left, self._left = self._left, None
        if left is None or len(left.rows) != len(own):
            known = "no rows" if left is None else f"{len(left.rows)} rows"
            raise ModelError(f"the output of an early exit model got {len(own)} rows, and its stack left {known}")
        said = [*left.said, own] if left.said else [own]
        last = self.rule.answer(said) if len(own) else own
        if not left.gone:
            return last
        logits = own.new_empty(left.size, own.size(-1))
        for rows, answer in [(left.rows, last), *left.gone]:
            logits[rows] = answer.to(logits.dtype)
        return logits

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_left": None, "_said": None}


@LAYER_KINDS.register("exit-stack")
class ExitStack(AdaptiveStack):
    """The layers of an encoder with an exit after each; a row that leaves does not run the layers that follow.

    In evaluation the rows that a rule lets go are taken out of the batch with their masks, and the following layers
    run on the others only; the head of the model gets those that reached the last layer, perhaps none, and
    `ExitOutput` puts all answers in order. In training every row runs every layer and every exit.

    `exits.equilibrium`: the gradient that reaches a layer from the exits above it is their mean and not their sum (Li
    et al. 2019, arXiv:1908.06066; the code of ElasticBERT, Liu et al. 2021, scales by 1 / (L - i) before exit i and by
    L - i - 1 after it, i from 0).

    Args:
        shared: names of what layers are given for all rows together, so that none of it is a row's.
    """

    kind: ClassVar[str] = "exit-stack"

    def __init__(self, shared: Sequence[str] = ()) -> None:
        super().__init__()
        self.shared = tuple(shared)

    @override
    def arguments(self) -> dict[str, Any]:
        return {"shared": list(self.shared)} if self.shared else {}

    @property
    @override
    def adapts(self) -> bool:
        return self.held().rule.decides

    def held(self) -> ExitHeads:
        """Its internal exits, the child called `exits`."""
        found = self._modules.get("exits")
        if not isinstance(found, ExitHeads):
            raise ModelError("an exit stack has no exits yet")
        return found

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        """[batch, length, width] to [rows that ran every layer, length, width]; in training all rows do."""
        self.refuse_graph()
        if self.training:
            return self._teaching(hidden, *args, **kwargs)
        return self._leaving(hidden, *args, **kwargs)

    def _teaching(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        exits, layers = self.held(), self.layers()
        said = []
        for step, layer in enumerate(layers, start=1):
            given = layer(hidden, *args, **kwargs)
            hidden = state_of(given)
            if step == len(layers):
                break
            if exits.equilibrium:
                hidden = _rescaled(hidden, 1 / (len(layers) - step + 1))
            said.append(exits.after(step)(hidden))
            if exits.equilibrium:
                hidden = _rescaled(hidden, len(layers) - step)
        exits.teach(said)
        self._steps = torch.full(hidden.shape[:1], len(layers), dtype=torch.int64)
        return in_form_of(given, hidden)

    def _leaving(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        exits, layers = self.held(), self.layers()
        count = len(hidden)
        rows = torch.arange(count, device=hidden.device)
        steps = torch.full((count,), len(layers), dtype=torch.int64)
        said: list[Tensor] = []
        gone: list[tuple[Tensor, Tensor]] = []
        for step, layer in enumerate(layers, start=1):
            given = layer(hidden, *args, **kwargs)
            hidden = state_of(given)
            if step == len(layers) or not (exits.rule.decides or step == self._forced):
                continue
            said.append(exits.after(step)(hidden))
            leave = exits.rule.leaves(said)
            if self._forced is not None:
                leave = torch.ones_like(leave) if step == self._forced else torch.zeros_like(leave)
            if not bool(leave.any()):
                continue
            gone.append((rows[leave], exits.rule.answer(said)[leave]))
            steps[rows[leave].cpu()] = step
            stay = ~leave
            args = tuple(_of_rows(value, stay) for value in args)
            kwargs = {name: value if name in self.shared else _of_rows(value, stay) for name, value in kwargs.items()}
            rows, hidden, said = rows[stay], hidden[stay], [each[stay] for each in said]
            if not len(rows):
                break
        self._steps = steps
        exits.hand_over(_Left(count, rows, said, gone))
        return in_form_of(given, hidden)


@LAYER_KINDS.register("exit-output")
class ExitOutput(StoredModule):
    """Takes the place of the last map of a model's head, which it holds as `own`, and gives every row its logits.

    `exits` is the very module that the stack holds.
    """

    kind: ClassVar[str] = "exit-output"
    open: ClassVar[bool] = True

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features, self._bias = in_features, out_features, bias
        self.own: nn.Module = nn.Linear(in_features, out_features, bias)
        self.exits = ExitHeads()

    @override
    def arguments(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self._bias}

    def forward(self, pooled: Tensor) -> Tensor:
        """[rows, in_features] of those that ran every layer to logits [batch, out_features] of all."""
        if self.training:
            logits: Tensor = self.own(pooled)
            return logits
        own = self.own(pooled) if len(pooled) else pooled.new_empty(0, self.out_features)
        return self.exits.collected(own)


def exits_of(model: nn.Module) -> ExitHeads | None:
    """The internal exits of a model; None for a model without any."""
    return next((module for module in model.modules() if isinstance(module, ExitHeads)), None)


def _rescaled(hidden: Tensor, factor: float) -> Tensor:
    """The same values; the gradient that comes back is multiplied by `factor`."""
    same = hidden.view_as(hidden)
    if same.requires_grad:
        same.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]
    return same


def _of_rows(value: Any, stay: Tensor) -> Any:
    """Of a mask with a line for each row, the lines of the rows that stay; anything else as it is."""
    return value[stay] if isinstance(value, Tensor) and value.dim() > 1 and len(value) == len(stay) else value
