"""Made inputs: batches of random token ids on which time, memory and energy are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError
from bench.models.limits import positions_of

if TYPE_CHECKING:
    from torch import Tensor, nn


def made_inputs(
    model: nn.Module,
    tokenizer_or_vocab: Any,
    *,
    batch_size: int,
    length: int,
    device: str,
    seed: int,
    target_length: int | None = None,
) -> dict[str, Tensor]:
    """Random token ids without padding, the same for the same arguments on every machine.

    Every row has exactly `length` tokens, so that a reference and an artifact do equal work. Special tokens are left
    out if a tokenizer is given: models such as RoBERTa derive positions from the padding token.

    Args:
        model: the model that will be called; its `config` bounds vocabulary and length.
        tokenizer_or_vocab: a tokenizer, or the number of entries of a vocabulary.
        batch_size: rows.
        length: tokens per row.
        device: where the tensors are put.
        seed: of the random ids.
        target_length: tokens per row that a sequence-to-sequence model's decoder reads; None is `length`.

    Returns:
        `input_ids` and `attention_mask`, both [batch_size, length] int64; a sequence-to-sequence model gets
        `decoder_input_ids` [batch_size, target_length] as well, a causal language model `input_ids` alone.

    Raises:
        ModelError: the model has fewer positions than `length` or `target_length`.
    """
    import torch

    limit = min(_positions(model), _tokenizer_limit(tokenizer_or_vocab))
    target = length if target_length is None else target_length
    longest = max(length, target) if _translates(model) else length
    if longest > limit:
        raise ModelError(
            f"setting.measuring.length: found {longest} tokens, but {type(model).__name__} takes at most {limit}. "
            f"Lower measuring.length, or choose a model with more positions."
        )
    allowed = torch.tensor(_token_ids(model, tokenizer_or_vocab))
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(len(allowed), (batch_size, length), generator=generator)
    ids = allowed[picks].to(device)
    if type(model).__name__.endswith("ForCausalLM"):
        return {"input_ids": ids}
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if _translates(model):
        picks = torch.randint(len(allowed), (batch_size, target), generator=generator)
        inputs["decoder_input_ids"] = allowed[picks].to(device)
    return inputs


def _translates(model: nn.Module) -> bool:
    return bool(getattr(model.config, "is_encoder_decoder", False))


def _positions(model: nn.Module) -> int:
    found = positions_of(model.config)
    return 2**31 if found is None else found


def _tokenizer_limit(tokenizer_or_vocab: Any) -> int:
    """What the tokenizer says a sequence may have; transformers writes 1e30 if it does not know."""
    return int(getattr(tokenizer_or_vocab, "model_max_length", 2**31))


def _token_ids(model: nn.Module, tokenizer_or_vocab: Any) -> list[int]:
    """Ids that both vocabulary and embedding table have, without special tokens if these are known."""
    bare = isinstance(tokenizer_or_vocab, int)
    config: Any = model.config
    size = min(tokenizer_or_vocab if bare else len(tokenizer_or_vocab), int(config.vocab_size))
    special = set() if bare else set(tokenizer_or_vocab.all_special_ids)
    return [token for token in range(size) if token not in special]
