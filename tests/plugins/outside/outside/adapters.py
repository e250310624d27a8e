"""An architecture that bench does not know."""

from __future__ import annotations

from bench.models.adapter import ADAPTERS
from bench.models.architectures import BertAdapter


@ADAPTERS.register("ernie")
class ErnieAdapter(BertAdapter):
    """ERNIE (Sun et al. 2019, arXiv:1904.09223), whose layers are those of BERT."""

    model_types = ("ernie",)
