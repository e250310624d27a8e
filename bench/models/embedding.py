"""The head of dense retrieval: an encoder of which each text's token vectors become one vector."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional
from transformers.utils.generic import ModelOutput

from bench.base.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

POOLING, SIMILARITY = "embedding_pooling", "embedding_similarity"  # keys of a configuration
_UNTOLD = {POOLING: "mean", SIMILARITY: "cosine"}
# sentence-transformers multiplies cosines by 20 in its multiple negatives ranking loss; Karpukhin et al. 2020
# (arXiv:2004.04906, equation 2) take the plain dot product.
SCALES = {"cosine": 20.0, "dot": 1.0}


@dataclass
class Embedded(ModelOutput):  # type: ignore[misc]
    """What an encoder with this head gives: `logits` [batch, width] are the vectors of the texts.

    The score of two texts is the dot product of their vectors, which have length 1 if it is the cosine. `scale`, a
    number, is what scores are multiplied by before a softmax over documents: one over its temperature.
    """

    logits: Tensor | None = None
    scale: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class Pooled:
    """What makes an encoder's class one of embeddings; see `embedding_class`."""

    config: Any

    @classmethod
    def from_config(cls, config: Any, *, trust_remote_code: bool = False, **options: Any) -> nn.Module:
        """A model with fresh weights, as the Auto classes of transformers make it."""
        del trust_remote_code
        model: nn.Module = cls._from_config(config, **options)  # type: ignore[attr-defined]
        return model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **given: Any) -> Embedded:
        """The vectors of texts, pooled and scaled as the configuration says.

        Args:
            input_ids: [batch, length].
            attention_mask: [batch, length], 0 for padding.
            given: whatever else the encoder takes.
        """
        found = super().forward(input_ids=input_ids, attention_mask=attention_mask, **given)  # type: ignore[misc]
        hidden = found.last_hidden_state  # [batch, length, width]
        vectors = hidden[:, 0] if self.config.embedding_pooling == "cls" else _mean(hidden, attention_mask)
        if self.config.embedding_similarity == "cosine":
            vectors = functional.normalize(vectors, dim=-1)
        return Embedded(
            logits=vectors,
            scale=vectors.new_tensor(SCALES[self.config.embedding_similarity]),
            last_hidden_state=hidden,
            hidden_states=found.hidden_states,
            attentions=found.attentions,
        )


@functools.cache
def embedding_class(encoder: type) -> Any:
    """The class of bi-encoders over the class of an encoder, such as `BertModel`, without that one's pooler."""
    bare = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(encoder).parameters else {}

    def __init__(self: Any, config: Any) -> None:  # noqa: N807
        encoder.__init__(self, config, **bare)  # type: ignore[misc]

    name = f"{encoder.__name__.removesuffix('Model')}ForEmbedding"
    members = {"__init__": __init__, "__module__": encoder.__module__, "__doc__": f"{encoder.__name__} with a pool."}
    return type(name, (Pooled, encoder), members)


def embedding_settings(config: Any, directory: Path | None, wanted: Mapping[str, Any], *, where: str) -> dict[str, str]:
    """The keys of a configuration that say how texts become vectors.

    By what is told first: by the task (`wanted`), by the files that sentence-transformers writes beside a model
    (`directory`), by the configuration itself, or else the mean of the tokens and the cosine.

    Raises:
        ModelError: the files ask for a pooling that is neither the mean nor the first token; `where` is the model.
    """
    own = {key: getattr(config, key) for key in _UNTOLD if hasattr(config, key)}
    return {**_UNTOLD, **own, **({} if directory is None else _told(directory, wanted, where=where)), **wanted}


def _mean(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """The mean over real tokens, [batch, width]."""
    real = attention_mask.to(hidden.dtype).unsqueeze(-1)  # [batch, length, 1]
    return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def _told(directory: Path, wanted: Mapping[str, Any], *, where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    pools = _read(directory / "1_Pooling" / "config.json", where=where)
    if pools and POOLING not in wanted:
        modes = {"mean": pools.get("pooling_mode_mean_tokens"), "cls": pools.get("pooling_mode_cls_token")}
        named = [mode for mode, said in modes.items() if said] or [str(pools.get("pooling_mode"))]
        if len(named) != 1 or named[0] not in modes:
            raise ModelError(
                f"{where}: 1_Pooling/config.json: expected the mean of the tokens or the first token, found neither "
                'or both. Say how texts become vectors with `pooling = "mean"` or "cls" in the task.'
            )
        found[POOLING] = named[0]
    says = _read(directory / "config_sentence_transformers.json", where=where).get("similarity_fn_name")
    modules = _read(directory / "modules.json", where=where) or []
    normalised = any(str(each.get("type", "")).endswith("Normalize") for each in modules)
    if says in SCALES or normalised:
        found[SIMILARITY] = "cosine" if normalised else says
    return found


def _read(path: Path, *, where: str) -> Any:
    """The JSON of a file, nothing if there is none."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: {path.parent.name}/{path.name} cannot be read: {error}") from error
