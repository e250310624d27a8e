"""Stacks that drop tokens between attention and the map after it: those that others attend to least."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError, ModelError
from bench.layers.adaptive import no_graph, real_positions, refuse_graph, state_of
from bench.layers.layer import LAYER_KINDS, StoredStack

_DECIDES = "which tokens it drops"
_ROUNDING = 1e-6  # shares are decimal fractions, whose products with a length may exceed a whole number a little


class TokenStack(StoredStack):
    """The layers of an encoder, each of which drops tokens after its attention.

    The score of a token is the attention that it receives, from the tokens that are there, over all heads (Goyal et al.
    2020, arXiv:2001.08950). Tokens that are dropped leave the tensor: the map after attention and all layers that
    follow run on the others only, in a batch padded to the longest row. The first token is never dropped, and padding
    neither gives nor gets attention, so a row keeps the same tokens alone and in a batch.

    Where scores are needed attention runs without a fused kernel, which keeps no probabilities. In training these are
    the ones after dropout.

    Args:
        attention: the module that gives attention's output and probabilities, by its name below a layer.
        norm: the module after which a token's state from attention is complete, by its name below a layer.
    """

    transient: ClassVar[tuple[str, ...]] = ("_kept", "_lengths")

    def __init__(self, attention: str, norm: str) -> None:
        super().__init__()
        self.attention, self.norm = attention, norm
        self._forced: Sequence[float] | None = None
        self._kept: Tensor | None = None
        self._lengths: Tensor | None = None

    @property
    def adapts(self) -> bool:
        """Whether the number of tokens that a layer keeps depends on more than the length of the input."""
        return False

    @override
    def arguments(self) -> dict[str, Any]:
        return {"attention": self.attention, "norm": self.norm}

    @override
    def portable(self) -> nn.Module:
        raise MethodError(no_graph(_DECIDES))

    def received(self, probabilities: Tensor, real: Tensor) -> Tensor:
        """The score of each token, [batch, tokens]; the arguments are those of `received_attention`."""
        return received_attention(probabilities, real)

    @abstractmethod
    def kept(self, received: Tensor, real: Tensor, lengths: Tensor, layer: int) -> Tensor:
        """Which tokens stay after the attention of a layer, bool [batch, tokens]; the first is kept by the caller.

        Args:
            received: attention that each token receives, the mean over heads and tokens that attend, [batch, tokens].
            real: which tokens are no padding, bool [batch, tokens].
            lengths: tokens of each row before the first layer, int64 [batch].
            layer: its place, from 0.
        """

    def kept_shares(self) -> Tensor:
        """The share of its tokens that each row of the last call kept after the attention of each layer.

        [batch, layers], each above 0 and at most 1, padding not counted.
        """
        if self._kept is None or self._lengths is None:
            raise ModelError("the stack has not run yet, so the number of tokens that it keeps is unknown")
        return self._kept / self._lengths[:, None]

    @contextmanager
    def keeping(self, shares: Sequence[float]) -> Iterator[None]:
        """While it lasts every row keeps these shares of its tokens, by layer, those of highest score."""
        before, self._forced = self._forced, shares
        try:
            yield
        finally:
            self._forced = before

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[batch, length, width] to [batch, most tokens that a row keeps, width]; the mask is the first argument."""
        refuse_graph(_DECIDES)
        mask = args[0] if args else kwargs.get("attention_mask")
        known = {name: value for name, value in kwargs.items() if name != "attention_mask"}
        real = real_positions(mask, hidden)
        self._lengths = real.sum(1).cpu()
        counts = []
        for place, layer in enumerate(self.layers()):
            if self._forced is None and not self.drops(place):
                hidden = state_of(layer(hidden, mask, *args[1:], **known))
            else:
                hidden, left = self._run(layer, place, hidden, real, args[1:], known)
                mask, real = (mask, real) if left is real else (_mask(left, hidden), left)
            counts.append(real.sum(1).cpu())
        self._kept = torch.stack(counts, dim=1)
        return hidden

    def drops(self, layer: int) -> bool:
        """Whether a layer, by its place from 0, may drop any token; if not it runs as it is."""
        del layer
        return True

    def scores(self, layer: int) -> bool:
        """Whether scores decide which tokens a layer keeps; if not it runs its own attention, a fused one too."""
        del layer
        return True

    def _run(
        self, layer: nn.Module, place: int, hidden: Tensor, real: Tensor, args: Sequence[Any], known: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """One layer: its states of the tokens that stay, and which of them are no padding."""
        attention, norm = layer.get_submodule(self.attention), layer.get_submodule(self.norm)
        probabilities: list[Tensor] = []
        stay: list[Tensor] = []

        def look(_module: nn.Module, _args: Any, output: Any) -> None:
            probabilities.append(_probabilities(output, self.attention))

        def drop(_module: nn.Module, _args: Any, state: Tensor) -> Tensor:
            received = self.received(probabilities[0], real) if scored else state.new_zeros(real.shape)
            packed, left = pack(state, self._chosen(received, real, place), real)
            stay.append(left)
            return packed

        scored = self._forced is not None or self.scores(place)
        with ExitStack() as hooked:
            if scored:
                hooked.enter_context(with_probabilities(attention))
                hooked.callback(attention.register_forward_hook(look).remove)
            hooked.callback(norm.register_forward_hook(drop).remove)
            out = state_of(layer(hidden, _mask(real, hidden), *args, **known))
        return out, stay[0]

    def _chosen(self, received: Tensor, real: Tensor, layer: int) -> Tensor:
        assert self._lengths is not None
        lengths = self._lengths.to(real.device)
        if self._forced is None:
            chosen = self.kept(received, real, lengths, layer) & real
        else:
            chosen = highest(received, real, (self._forced[layer] * lengths).round().clamp(min=1))
        return chosen | _first(real)

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_forced": None, **dict.fromkeys(self.transient)}


@LAYER_KINDS.register("top-token-stack")
class TopTokenStack(TokenStack):
    """A stack that keeps a fixed share of the tokens after each layer: those of highest score (PoWER-BERT).

    `shares` [layers] is the retention configuration: a row of n tokens keeps ceil(share * n), at least one, after the
    attention of a layer; a share of 1 leaves the layer as it is, and one of 0 keeps the first token (Goyal et al. 2020,
    arXiv:2001.08950, where the configuration is learned and counts tokens of a padded length).
    """

    kind: ClassVar[str] = "top-token-stack"

    def __init__(self, attention: str, norm: str, shares: Sequence[float]) -> None:
        super().__init__(attention, norm)
        self.shares = tuple(float(share) for share in shares)

    @override
    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "shares": list(self.shares)}

    @override
    def portable(self) -> nn.Module:
        """The plain layers, if only the last one drops tokens and keeps the first: that is the same for every input."""
        *before, last = self.shares
        if last or any(share < 1 for share in before):
            return super().portable()
        layers = nn.ModuleList(self.layers())
        parent, _, leaf = self.norm.rpartition(".")
        owner = layers[-1].get_submodule(parent)
        setattr(owner, leaf, nn.Sequential(owner.get_submodule(leaf), _KeepFirst()))
        return layers

    @override
    def received(self, probabilities: Tensor, real: Tensor) -> Tensor:
        return received_attention(probabilities, real, own=False)

    @override
    def drops(self, layer: int) -> bool:
        return self.shares[layer] < 1

    @override
    def scores(self, layer: int) -> bool:
        return self.shares[layer] > 0

    @override
    def kept(self, received: Tensor, real: Tensor, lengths: Tensor, layer: int) -> Tensor:
        return highest(received, real, (self.shares[layer] * lengths - _ROUNDING).ceil().clamp(min=1))


@LAYER_KINDS.register("token-threshold-stack")
class TokenThresholdStack(TokenStack):
    """A stack that keeps the tokens whose score reaches a learned threshold of the layer (LTP).

    A token stays if the attention that it receives, the mean over heads and over the tokens that are there, is at least
    the threshold (Kim et al. 2022, arXiv:2107.00910). While `soft`, in training only, no token leaves: the
    state that a layer gives is multiplied by sigmoid((score - threshold) / temperature), through which the threshold
    is learned; the first token's factor is 1. `soft` is not stored.

    `thresholds` [layers] are zero until they are filled.
    """

    kind: ClassVar[str] = "token-threshold-stack"
    transient: ClassVar[tuple[str, ...]] = (*TokenStack.transient, "_price")

    def __init__(self, attention: str, norm: str, depth: int, temperature: float) -> None:
        super().__init__(attention, norm)
        self.temperature = temperature
        self.thresholds = nn.Parameter(torch.zeros(depth))
        self.soft = False
        self._price: Tensor | None = None
        self._factors: list[Tensor] = []

    @property
    @override
    def adapts(self) -> bool:
        return True

    @override
    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "depth": len(self.thresholds), "temperature": self.temperature}

    @override
    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self._factors = []
        out = super().forward(hidden, *args, **kwargs)
        self._price = torch.stack(self._factors).mean() if self._factors else None
        self._factors = []
        return out

    def price(self) -> Tensor:
        """The mean factor over layers and tokens of the last call while `soft`, with a gradient; taken once."""
        if self._price is None:
            raise ModelError("the stack has not run in soft training since the last read, so its tokens have no price")
        price, self._price = self._price, None
        return price

    @override
    def kept(self, received: Tensor, real: Tensor, lengths: Tensor, layer: int) -> Tensor:
        if self._softly:
            return real
        return received >= self.thresholds[layer]

    @property
    def _softly(self) -> bool:
        return self.soft and self.training

    @override
    def _run(
        self, layer: nn.Module, place: int, hidden: Tensor, real: Tensor, args: Sequence[Any], known: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        if not self._softly:
            return super()._run(layer, place, hidden, real, args, known)
        seen: list[Tensor] = []
        attention = layer.get_submodule(self.attention)
        handle = attention.register_forward_hook(
            lambda _module, _args, output: seen.append(_probabilities(output, self.attention))
        )
        try:
            out, stay = super()._run(layer, place, hidden, real, args, known)
        finally:
            handle.remove()
        score = self.received(seen[0], real)
        factor = torch.sigmoid((score - self.thresholds[place]) / self.temperature)
        factor = torch.where(_first(real), torch.ones_like(factor), factor)
        self._factors.append((factor * real).sum() / real.sum())
        return out * factor[..., None].to(out.dtype), stay

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_factors": []}


class _KeepFirst(nn.Module):
    """The first token's state alone, [batch, 1, width]."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[:, :1]


def received_attention(probabilities: Tensor, real: Tensor, *, own: bool = True) -> Tensor:
    """The mean attention that each token receives, over heads and over the tokens that attend, [batch, tokens].

    Args:
        probabilities: [batch, heads, queries, keys], each query's sum to 1.
        real: which tokens are no padding, bool [batch, tokens]; what padding attends to does not count.
        own: whether a token's attention to itself counts.
    """
    heads = max(1, probabilities.size(1))
    by_query = probabilities.sum(dim=1)  # [batch, queries, keys]
    if not own:
        by_query = by_query - torch.diag_embed(by_query.diagonal(dim1=1, dim2=2))
    total = (by_query * real[..., None].to(by_query.dtype)).sum(dim=1)
    return (total / (heads * real.sum(1, keepdim=True))).float()


def highest(scores: Tensor, real: Tensor, counts: Tensor) -> Tensor:
    """Of each row the first token and those of highest score, `counts` [batch] in all, bool; of equals the earlier."""
    ranked = scores.masked_fill(~real, -math.inf).masked_fill(_first(real), math.inf)
    order = ranked.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(real.size(1), device=real.device)
    chosen = torch.zeros_like(real).scatter(1, order, places[None] < counts[:, None])
    return chosen & real


def pack(state: Tensor, chosen: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The chosen tokens of each row in their order, then padding up to the longest row; and which are no padding.

    Both are as they were if no token is dropped.

    Args:
        state: [batch, tokens, width].
        chosen: bool [batch, tokens].
        real: which tokens are no padding, bool [batch, tokens].
    """
    most = int(chosen.sum(1).max())
    if bool((chosen == real).all()):
        return state, real
    order = chosen.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    return state.gather(1, order[..., None].expand(-1, -1, state.size(-1))), chosen.gather(1, order)


@contextmanager
def with_probabilities(attention: nn.Module) -> Iterator[None]:
    """While it lasts a stock attention module computes its probabilities and gives them."""
    config: Any = getattr(attention, "config", None)
    before = getattr(config, "_attn_implementation", None)
    if before is not None:
        config._attn_implementation = "eager"
    try:
        yield
    finally:
        if before is not None:
            config._attn_implementation = before


def _probabilities(output: Any, name: str) -> Tensor:
    found = output[1] if isinstance(output, tuple) and len(output) > 1 else None
    if not isinstance(found, Tensor) or found.dim() != 4:
        raise ModelError(
            f"the attention '{name}' gives no probabilities, so it cannot be told which tokens are attended to. Drop "
            f"tokens of a model with stock attention only"
        )
    return found


def _mask(real: Tensor, hidden: Tensor) -> Tensor | None:
    """What is added to scores so that no token attends to padding, [batch, 1, 1, tokens]; None without padding."""
    if bool(real.all()):
        return None
    lowest = torch.finfo(hidden.dtype).min
    return torch.zeros_like(real, dtype=hidden.dtype).masked_fill(~real, lowest)[:, None, None, :]


def _first(real: Tensor) -> Tensor:
    """True at the first token of each row, bool [1, tokens]."""
    return (torch.arange(real.size(1), device=real.device) == 0)[None]
