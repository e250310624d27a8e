"""The task heads a model can have, the transformers class that puts each on a model, and configurations by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from bench.base.errors import ModelError, unknown

if TYPE_CHECKING:
    from torch import nn

# The Auto class of each head, and how the names of the models end that have it.
HEADS = {
    "sequence-classification": ("AutoModelForSequenceClassification", ("ForSequenceClassification",)),
    "question-answering": ("AutoModelForQuestionAnswering", ("ForQuestionAnswering",)),
    "masked-language-modelling": ("AutoModelForMaskedLM", ("ForMaskedLM",)),
    "translation": ("AutoModelForSeq2SeqLM", ("ForConditionalGeneration", "MTModel", "EncoderDecoderModel")),
    "causal-language-modelling": ("AutoModelForCausalLM", ("ForCausalLM",)),
    "embedding": ("AutoModel", ("ForEmbedding",)),
}


def auto_class(head: str, config: Any) -> Any:
    """The transformers Auto class that puts a head on a model of `config`; for embeddings, the model's own class.

    Raises `ModelError` for a head that is not in `HEADS`, or that the architecture cannot have.
    """
    import transformers

    if head not in HEADS:
        raise ModelError(str(unknown("head", head, HEADS)))
    auto = getattr(transformers, HEADS[head][0])
    if type(config) not in auto._model_mapping or (head == "embedding" and not _is_encoder(config)):
        raise ModelError(f"architecture '{config.model_type}' has no {head} head; choose another model for this task")
    if head == "embedding":
        from bench.models.embedding import embedding_class

        return embedding_class(auto._model_mapping[type(config)])
    return auto


def head_of(model: nn.Module) -> str:
    """The head of `model`, by the name of its class; raises `ModelError` if it has none of `HEADS`."""
    name = type(model).__name__
    for head, (_, endings) in HEADS.items():
        if name.endswith(endings):
            return head
    known = ", ".join(ending for _, endings in HEADS.values() for ending in endings)
    raise ModelError(f"{name}: no known task head. Supported: classes ending in {known}.")


def output_name(model: nn.Module) -> str | None:
    """The module that gives a classification or span head its outputs; None for other heads."""
    heads = ("sequence-classification", "question-answering")
    if not type(model).__name__.endswith(tuple(ending for head in heads for ending in HEADS[head][1])):
        return None
    outside = [
        name
        for name, module in model.named_modules()
        if not list(module.children()) and not name.startswith(f"{model.base_model_prefix}.") and _holds(module)
    ]
    return outside[-1] if outside else None


def order_outputs(model: nn.Module, order: Sequence[int], *, where: str) -> None:
    """Put the outputs of a classification head into another order, in place: output i becomes what `order[i]` was.

    Raises `ModelError` if the head's last layer is not a dense one and its rows would have to change places.
    """
    import torch
    from torch import nn

    if list(order) == list(range(len(order))):
        return
    name = output_name(model)
    last = None if name is None else model.get_submodule(name)
    if type(last) is not nn.Linear:
        raise ModelError(
            f"{where}: its head '{name}' is stored as {type(last).__name__}, whose outputs cannot be reordered. Give "
            f"the original model."
        )
    with torch.no_grad():
        for parameter in (last.weight, last.bias):
            if parameter is not None:
                parameter.copy_(parameter[list(order)].clone())


def config_of(model_type: str, settings: dict[str, Any]) -> Any:
    """The configuration of an architecture of transformers or of bench; an unknown one raises `ValueError`."""
    from transformers import AutoConfig

    from bench.models.registration import register

    register(model_type)
    return AutoConfig.for_model(model_type, **settings)


def from_config(config: Any, head: str, *, attention: str | None = None) -> nn.Module:
    """A model of `config` with fresh weights from torch's global generator, in training mode.

    `attention` names the implementation ("sdpa", "eager", ...); None leaves the choice to transformers.
    """
    from bench.layers.rounded import IMPLEMENTATION, register_attention
    from bench.models.encoder_decoder import without_pooler
    from bench.models.registration import register

    register(config.model_type)
    if attention == IMPLEMENTATION:
        register_attention()
    options = {} if attention is None else {"attn_implementation": attention}
    auto = auto_class(head, config)
    model = cast("nn.Module", auto.from_config(config, trust_remote_code=False, **options))
    return without_second_bias(without_pooler(model))


def without_second_bias(model: nn.Module) -> nn.Module:
    """`model`, and if it is a masked language model, the bias of its output layer has one name only, in place.

    transformers ties another parameter beside that layer to it. No forward pass reads it, and if a factorized or
    coded form takes the layer's place it would be left behind as a vector that is stored and counted for nothing.
    """
    if type(model).__name__.endswith("ForMaskedLM"):
        output: Any = model.get_output_embeddings()  # type: ignore[operator]
        whole = output.out_features == model.config.vocab_size  # type: ignore[union-attr]  # DeBERTa-v3's own head has none
        for module in model.modules():
            if whole and output in module.children() and module._parameters.get("bias") is not None:
                module._parameters["bias"] = None
    return model


def _is_encoder(config: Any) -> bool:
    """Whether a model of `config` reads a text in both directions, so that each token's vector knows all of it."""
    from bench.models.adapter import adapter_of_type

    stacks = adapter_of_type(config.model_type, where=config.model_type).paths
    return tuple(stacks) == ("encoder",) and hasattr(config, "num_attention_heads")


def _holds(module: nn.Module) -> bool:
    return any(value is not None for value in (*module._parameters.values(), *module._buffers.values()))
