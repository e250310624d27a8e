"""The heads that a graph can have: the output class of each, and which of its fields the graph gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

ORDER = "graph_output_order"  # key of a configuration: for each label, the graph's output that stands for it
FIELDS: Mapping[str, tuple[str, ...]] = {
    "sequence-classification": ("logits",),
    "question-answering": ("start_logits", "end_logits"),
    "masked-language-modelling": ("logits",),
    "causal-language-modelling": ("logits",),
    "embedding": ("logits",),
}


def shape_of(head: str, config: Any) -> tuple[int | None, ...]:
    """The shape of each output of a head; None for an axis of any length, or a width that is not known."""
    if head == "sequence-classification":
        return None, int(config.num_labels)
    if head == "question-answering":
        return None, None
    if head == "embedding":
        return None, getattr(config, "hidden_size", None)
    return None, None, int(config.vocab_size)


def output_of(head: str, config: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What a model of transformers with this head gives, made of its fields."""
    from transformers import modeling_outputs

    if head == "embedding":
        from bench.models.embedding import SCALES, Embedded

        vectors = tensors["logits"]
        return Embedded(logits=vectors, scale=vectors.new_tensor(SCALES[config.embedding_similarity]))
    made = {
        "sequence-classification": modeling_outputs.SequenceClassifierOutput,
        "question-answering": modeling_outputs.QuestionAnsweringModelOutput,
        "masked-language-modelling": modeling_outputs.MaskedLMOutput,
        "causal-language-modelling": modeling_outputs.CausalLMOutput,
    }
    order = getattr(config, ORDER, None)
    if order is not None:  # of a graph that was made elsewhere; axis 1 are its labels
        tensors = {name: values[:, list(order)] for name, values in tensors.items()}
    return made[head](**tensors)
