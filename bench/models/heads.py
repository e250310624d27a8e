"""The task heads a model can have, and the transformers class that puts each on an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from bench.errors import ModelError, unknown

if TYPE_CHECKING:
    from torch import nn

HEADS = {
    "sequence-classification": "ForSequenceClassification",
    "question-answering": "ForQuestionAnswering",
    "masked-language-modelling": "ForMaskedLM",
}


def auto_class(head: str) -> Any:
    """The transformers Auto class of a head; raises `ModelError` for a head that is not in `HEADS`."""
    import transformers

    if head not in HEADS:
        raise ModelError(str(unknown("head", head, HEADS)))
    return getattr(transformers, f"AutoModel{HEADS[head]}")


def head_of(model: nn.Module) -> str:
    """The head of `model`, by the name of its class; raises `ModelError` where it has none of `HEADS`."""
    name = type(model).__name__
    for head, ending in HEADS.items():
        if name.endswith(ending):
            return head
    raise ModelError(f"{name}: no known task head. Supported: classes ending in {', '.join(HEADS.values())}.")


def from_config(config: Any, head: str, *, attention: str | None = None) -> nn.Module:
    """A model of `config` with fresh weights from torch's global generator, in training mode.

    `attention` names the implementation ("sdpa", "eager"); None leaves the choice to transformers.
    """
    options = {} if attention is None else {"attn_implementation": attention}
    return cast("nn.Module", auto_class(head).from_config(config, trust_remote_code=False, **options))
