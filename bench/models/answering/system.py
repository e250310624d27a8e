"""What every answering program is: a model from the tokens of questions to answers as text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

_BATCH = 32  # texts that are encoded together when a program is made


class AnsweringModel(PreTrainedModel):  # type: ignore[misc]
    """A self-contained program: all that it looks things up in is in its buffers.

    `parts` says what its stored tensors are for, by the first word of their names.
    """

    base_model_prefix = ""
    _supports_sdpa = True
    _supports_flash_attn = True
    parts: ClassVar[dict[str, str]]

    @abstractmethod
    def answers(self, input_ids: Tensor, attention_mask: Tensor, tokenizer: Any) -> list[str]:
        """The answer to each question of a batch, both [batch, length], padded on the right."""

    @property
    @abstractmethod
    def question_encoder(self) -> nn.Module:
        """The encoder that gives questions their vectors, as it was before anything was trained."""

    def _init_weights(self, module: nn.Module) -> None:
        """As the architecture of its encoders does; it also fills their buffers that are not stored."""
        self._architecture()._init_weights(module)

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        """As for transformers' own models."""
        super()._initialize_weights(module)

    def get_input_embeddings(self) -> nn.Module:
        """The embedding table of the encoder that `_architecture` gives."""
        found: nn.Module = self._architecture().get_input_embeddings()
        return found

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another embedding in place."""
        self._architecture().set_input_embeddings(value)

    @abstractmethod
    def _architecture(self) -> Any:
        """The encoder that reads; its embeddings are the program's, and its architecture sets new weights."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False


def encoder_of(config: Any) -> nn.Module:
    """The bare encoder of a configuration, without pooler and head, with fresh weights."""
    return bare(AutoModelForQuestionAnswering.from_config(config))


def bare(model: nn.Module) -> nn.Module:
    """The encoder inside a model with a head."""
    return cast(nn.Module, getattr(model, str(model.base_model_prefix)))


def mean_states(encoder: nn.Module, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The mean of the last hidden states of the real tokens, [batch, width] (Reimers & Gurevych 2019)."""
    hidden: Tensor = encoder(input_ids=input_ids, attention_mask=attention_mask)[0]  # [batch, length, width]
    if attention_mask is None:
        return hidden.mean(dim=1)
    real = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def sentence_vectors(encoder: nn.Module, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """`mean_states` as unit vectors, so that their products are cosines."""
    return functional.normalize(mean_states(encoder, input_ids, attention_mask), dim=-1)


def encoded(encoder: nn.Module, tokenizer: Any, texts: Sequence[str], *, max_length: int) -> Tensor:
    """The vectors of `texts`, [texts, width] float32 on the CPU, each cut to `max_length` tokens."""
    rows = tokenizer(list(texts), truncation=True, max_length=max_length, padding=False)["input_ids"]
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    found: list[Tensor] = [torch.empty(0)] * len(rows)
    device = next(encoder.parameters()).device
    with evaluating(encoder), torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            longest = len(rows[places[0]])
            ids = torch.full((len(places), longest), int(tokenizer.pad_token_id))
            mask = torch.zeros((len(places), longest), dtype=torch.int64)
            for line, place in enumerate(places):
                ids[line, : len(rows[place])] = torch.tensor(rows[place])
                mask[line, : len(rows[place])] = 1
            vectors = sentence_vectors(encoder, ids.to(device), mask.to(device)).float().cpu()
            for line, place in enumerate(places):
                found[place] = vectors[line]
    return torch.stack(found).clone()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """While it lasts the model is in evaluation mode."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
