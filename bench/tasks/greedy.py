"""Greedy decoding of an encoder-decoder: the most likely next token, one after the other, until each text has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError
from bench.models.limits import positions_of

if TYPE_CHECKING:
    from torch import Tensor, nn

EXTRA_TOKENS = 50  # a text may have so many tokens more than its source, Vaswani et al. 2017, arXiv:1706.03762, §6.1


class Greedy:
    """A batch of sources being written down: encoded when made, then one token of each text a `step`.

    The decoder's cache is used if the model gives one; else the decoder reads all that is written again. Where
    layers are shared or were left out, all of it belongs inside `bench.models.encoder_decoder.numbered_layers`.

    Args:
        model: an encoder-decoder of transformers' interface: `get_encoder`, and a `forward` that takes
            `encoder_outputs`, `attention_mask`, `decoder_input_ids`, `past_key_values` and `use_cache`.
        inputs: `input_ids` and `attention_mask` [batch, length], and `decoder_input_ids` [batch, 1] to start from.
        pad_id: is never chosen.
    """

    def __init__(self, model: nn.Module, inputs: dict[str, Tensor], *, pad_id: int) -> None:
        from bench.layers.layer import reads_whole_text

        self._model = model
        self._mask = inputs["attention_mask"]
        self._pad_id = pad_id
        self._written = inputs["decoder_input_ids"]
        self._cache: Any = None
        self._cached = not reads_whole_text(model)
        self._encoded = encoder_of(model)(input_ids=inputs["input_ids"], attention_mask=self._mask, return_dict=True)

    def step(self) -> tuple[Tensor, Tensor]:
        """The most likely next token of each text and its logit, both [batch]; `write` must follow."""
        outputs = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=self._written if self._cache is None else self._written[:, -1:],
            past_key_values=self._cache,
            use_cache=self._cached,
        )
        self._cache = getattr(outputs, "past_key_values", None)
        logits = outputs.logits[:, -1].float()  # [batch, vocabulary]
        logits[:, self._pad_id] = float("-inf")
        best, token = logits.max(dim=-1)
        return token, best

    def write(self, token: Tensor) -> None:
        """Go on from these tokens [batch], those of the last step or others."""
        import torch

        self._written = torch.cat([self._written, token[:, None]], dim=1)


def write(model: nn.Module, inputs: dict[str, Tensor], *, end_id: int, pad_id: int) -> tuple[Tensor, Tensor]:
    """The text that `model` writes for every source, and the sum of its tokens' logits, finite for a sound model.

    A text ends with `end_id`, or `EXTRA_TOKENS` after as many tokens as its source has (special ones count), or if
    the decoder has no more positions. The same for the same row, whatever shares its batch, up to rounding.

    Returns:
        Token ids [batch, longest], `pad_id` behind the end of each; and [batch] float32.
    """
    import torch

    positions = decoder_positions(model)
    limits = inputs["attention_mask"].sum(dim=1) + EXTRA_TOKENS
    limits = limits if positions is None else limits.clamp(max=positions)
    greedy = Greedy(model, inputs, pad_id=pad_id)
    ended = torch.zeros_like(limits, dtype=torch.bool)
    columns: list[Tensor] = []
    total = torch.zeros(len(limits), device=limits.device)
    for count in range(1, int(limits.max()) + 1):
        token, logit = greedy.step()
        total += torch.where(ended, 0.0, logit)
        token = torch.where(ended, pad_id, token)
        greedy.write(token)
        columns.append(token)
        ended |= (token == end_id) | (limits <= count)
        if bool(ended.all()):
            break
    return torch.stack(columns, dim=1), total


def encoder_of(model: nn.Module) -> nn.Module:
    """The encoder of an encoder-decoder; raises `ModelError` for a model without one."""
    import torch

    get: Any = getattr(model, "get_encoder", None)
    found = get() if callable(get) and getattr(getattr(model, "config", None), "is_encoder_decoder", False) else None
    if not isinstance(found, torch.nn.Module) or found is model:
        raise ModelError(
            f"{type(model).__name__} has no encoder that can be run alone, so it cannot generate text from a source. "
            "Use an encoder-decoder with a get_encoder method."
        )
    return found


def decoder_positions(model: nn.Module) -> int | None:
    """How many tokens the decoder can read; None if that has no limit."""
    config: Any = getattr(model, "config", None)
    half = getattr(config, "decoder", None)
    return positions_of(half if hasattr(half, "max_position_embeddings") else config)
