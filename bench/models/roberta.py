"""Where RoBERTa (Liu et al. 2019, arXiv:1907.11692) keeps its layers and linear modules."""

from __future__ import annotations

from typing import ClassVar

from bench.models.adapter import ADAPTERS
from bench.models.bert import BertAdapter


@ADAPTERS.register("roberta")
class RobertaAdapter(BertAdapter):
    """Same names as BERT inside the encoder; other embeddings, pooling and heads."""

    model_types: ClassVar[tuple[str, ...]] = ("roberta",)
    positions_skip_padding: ClassVar[bool] = True
