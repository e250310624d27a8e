"""What a weight matrix does in its layer, and the parts that a layer has, named alike for all architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from torch import nn

Role = Literal[
    "query",
    "key",
    "value",
    "attention_output",
    "ffn_in",
    "ffn_out",
    "cross_query",
    "cross_key",
    "cross_value",
    "cross_output",
    "input_gates",
    "hidden_gates",
    "bottleneck_in",
    "bottleneck_keys",
    "bottleneck_out",
    "position_query",
    "position_key",
    "softmax",
]
ALL_ROLES: tuple[Role, ...] = get_args(Role)

# What every Transformer layer has, and the order in which roles are given.
ROLES: tuple[Role, ...] = ALL_ROLES[:6]
CROSS_ROLES: tuple[Role, ...] = ALL_ROLES[6:10]
GATE_ROLES: tuple[Role, ...] = ALL_ROLES[10:12]
# What narrows the hidden states at the entrance of a block, for its residual and its queries and keys, and widens them
# again at its exit.
BOTTLENECK_ROLES: tuple[Role, ...] = ALL_ROLES[12:15]
# What maps the vectors of relative positions to queries and keys of the heads, in architectures that have such maps.
POSITION_ROLES: tuple[Role, ...] = ALL_ROLES[15:17]

Part = Literal["attention", "cross_attention", "ffn", "gates", "bottleneck", "norms"]
PARTS: tuple[Part, ...] = get_args(Part)

# The sizes of an encoder that are free: layers, width of the hidden states, attention heads, neurons of an MLP.
Size = Literal["layers", "width", "heads", "neurons"]


class HeadNames(NamedTuple):
    """A head that gives out(activation(dense(state of the first token))): the names of its two maps.

    `activation` is "tanh", "gelu" or "relu"; in a name BASE stands for the prefix of the base model.
    """

    dense: str
    out: str
    activation: str


class AttentionPlaces(NamedTuple):
    """Two modules below a layer: the one that gives attention's output and probabilities, and the norm after it.

    After the norm the state of a token is complete, and what follows treats each token by itself.
    """

    attention: str
    norm: str


class LayerBlock(NamedTuple):
    """What repeats along a stack: a layer, or one of several inside a stored layer.

    `stack` and `layer` say where it is stored (a number in the stored list), `name` is its qualified name, and `names`
    are its matrices by role, by their names below `module`.
    """

    stack: str
    layer: int
    name: str
    module: nn.Module
    names: dict[Role, str]
