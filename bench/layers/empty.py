"""What is left of a linear map, and of an attention, after all of its units were removed."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.layer import LAYER_KINDS, StoredLayer, StoredModule


@LAYER_KINDS.register("empty-linear")
class EmptyLinear(StoredLayer):
    """A linear map from or to a space of width 0: without weights and multiply-adds, its output is its bias.

    `nn.Linear` would start an empty matrix with a warning and run an empty product.

    Args:
        in_features: width of the input.
        out_features: width of the output; one of the two is 0.
        bias: whether there is a bias [out_features]; it is zero until it is filled.

    Raises `MethodError` if neither width is 0.
    """

    kind: ClassVar[str] = "empty-linear"

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        super().__init__()
        if in_features and out_features:
            raise MethodError(f"a linear map from {in_features} to {out_features} is not empty; use nn.Linear")
        self.in_features = in_features
        self.out_features = out_features
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        shape = (*inputs.shape[:-1], self.out_features)
        return inputs.new_zeros(shape) if self.bias is None else self.bias.expand(shape)

    @override
    def arguments(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}

    @override
    def dense(self) -> Tensor:
        like = self.bias if self.bias is not None else torch.empty(())
        return like.new_zeros(self.out_features, self.in_features)

    def macs(self, rows: int) -> int:
        """None."""
        return 0

    @override
    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


@LAYER_KINDS.register("empty-attention")
class EmptyAttention(StoredModule):
    """An attention without heads, in the place of the module that held them.

    What architectures keep inside that module stays under its name: the output map, whose bias is the whole output,
    and in some the norm of the sum of input and output. If the output map is outside, the output has width 0.

    Args:
        width: of the hidden states.
        output: name of the output map, None if it is outside.
        bias: whether the output map has a bias.
        norm: name of the norm, None if it is outside.
        eps: of the norm.
        dropout: of the output, before the norm.
        layer_idx: the layer's place in a cache of keys and values.
        cross: whether it is attention over the encoder's states.
    """

    kind: ClassVar[str] = "empty-attention"

    def __init__(
        self,
        width: int,
        output: str | None = None,
        bias: bool = True,
        norm: str | None = None,
        eps: float = 1e-12,
        dropout: float = 0.0,
        layer_idx: int | None = None,
        cross: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        self.output = output
        self.norm = norm
        self.layer_idx = layer_idx
        self.cross = cross
        self.dropout = nn.Dropout(dropout)
        if output is not None:
            self.add_module(output, EmptyLinear(0, width, bias))
        if norm is not None:
            self.add_module(norm, nn.LayerNorm(width, eps))

    @classmethod
    def in_place_of(
        cls, attention: nn.Module, width: int, *, output: str | None, tail: tuple[str, str] | None, cross: bool
    ) -> EmptyAttention:
        """The empty form of `attention`, whose output map is an `EmptyLinear` by now; modules that stay are the same.

        Args:
            attention: the module that it takes the place of.
            width: of the hidden states.
            output: name of the output map below `attention`, if it is there.
            tail: names of the dropout and the norm below `attention`, if it has them.
            cross: whether it is attention over the encoder's states.
        """
        dropout, norm = (attention.get_submodule(name) for name in tail) if tail else (nn.Dropout(0.0), None)
        made = cls(
            width,
            output=output,
            norm=tail[1] if tail else None,
            eps=float(getattr(norm, "eps", 1e-12)),
            dropout=float(getattr(dropout, "p", 0.0)),
            layer_idx=getattr(attention, "layer_idx", None),
            cross=cross,
        )
        for name in (output, made.norm):
            if name is not None:
                made._modules[name] = attention.get_submodule(name)
        return made.train(attention.training)

    def forward(
        self, hidden_states: Tensor, *others: Any, past_key_values: Any = None, **more: Any
    ) -> tuple[Tensor, None]:
        """[batch, length, width] to the same, or to [batch, length, 0] if the output map is outside.

        The first layer's self-attention tells how many tokens a cache of keys and values holds, so one zero a token is
        kept in it; a cache of width 0 would say that it is empty.
        """
        if past_key_values is not None and not self.cross:
            cache = getattr(past_key_values, "self_attention_cache", past_key_values)
            zeros = hidden_states.new_zeros(len(hidden_states), 1, hidden_states.shape[1], 1)
            cache.update(zeros, zeros, self.layer_idx)
        outputs = hidden_states[..., :0]
        if self.output is not None:
            outputs = self.dropout(self.get_submodule(self.output)(outputs))
        if self.norm is not None:
            outputs = self.get_submodule(self.norm)(hidden_states + outputs)
        return outputs, None

    @override
    def arguments(self) -> dict[str, Any]:
        norm = None if self.norm is None else self.get_submodule(self.norm)
        return {
            "width": self.width,
            "output": self.output,
            "bias": self.output is not None and self.get_submodule(self.output).bias is not None,
            "norm": self.norm,
            "eps": float(getattr(norm, "eps", 1e-12)),
            "dropout": self.dropout.p,
            "layer_idx": self.layer_idx,
            "cross": self.cross,
        }

    @override
    def extra_repr(self) -> str:
        return f"width={self.width}, cross={self.cross}"
