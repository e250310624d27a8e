"""Where ELECTRA (Clark et al. 2020, arXiv:2003.10555) keeps its layers and linear modules."""

from __future__ import annotations

from typing import ClassVar

from bench.models.adapter import ADAPTERS
from bench.models.bert import BertAdapter


@ADAPTERS.register("electra")
class ElectraAdapter(BertAdapter):
    """Same names as BERT inside the encoder; other embeddings, pooling and heads."""

    model_types: ClassVar[tuple[str, ...]] = ("electra",)
