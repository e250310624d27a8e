"""A translation model made of two encoders (Rothe et al. 2020, arXiv:1907.12461): its modules and configuration."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from bench.base.errors import ModelError
from bench.models.adapter import ADAPTERS, Adapter, Part, Role, adapter_of_type
from bench.models.architectures import BertAdapter

if TYPE_CHECKING:
    from torch import nn

# The same in every architecture of transformers that copies BERT's cross-attention.
_CROSS: dict[Role, str] = {
    "cross_query": "crossattention.self.query",
    "cross_key": "crossattention.self.key",
    "cross_value": "crossattention.self.value",
    "cross_output": "crossattention.output.dense",
}
FAMILIES = ("bert", "roberta", "xlm-roberta", "electra")


@ADAPTERS.register("encoder-decoder")
class EncoderDecoderAdapter(Adapter):
    """transformers' `EncoderDecoderModel`: an encoder, and one more with cross-attention and a language model's head.

    Names inside each half are those of its own adapter; both halves are of one family.
    """

    model_types: ClassVar[tuple[str, ...]] = ("encoder-decoder",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder", "decoder": "decoder"}
    roles: ClassVar[dict[Role, str]] = _CROSS
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = BertAdapter.part_names
    activation: ClassVar[str | None] = BertAdapter.activation

    def half_name(self, model: nn.Module, stack: str | None = None) -> str:
        """The encoder or the decoder, the latter with its output projection."""
        return self._stack(model, stack)

    def hidden_size(self, model: nn.Module) -> int:
        """The width of the encoder's hidden states."""
        return int(model.config.encoder.hidden_size)  # type: ignore[union-attr, arg-type]

    def heads(self, model: nn.Module) -> int:
        """Attention heads of one encoder layer, as configured."""
        return int(model.config.encoder.num_attention_heads)  # type: ignore[union-attr, arg-type]

    def head_width(self, model: nn.Module, stack: str | None = None) -> int:
        """The width of one attention head of the encoder or of the decoder."""
        return self._inside(model).head_width(model.get_submodule(self._stack(model, stack)))

    def _path(self, model: nn.Module, stack: str) -> str:
        return f"{stack}.{self._inside(model).stack_name(model.get_submodule(stack))}"

    def _role_names(self, model: nn.Module) -> dict[Role, str]:
        return {**self._inside(model).roles, **_CROSS}

    def _set_depth(self, model: nn.Module, count: int, stack: str) -> None:
        getattr(model.config, stack).num_hidden_layers = count

    def _inside(self, model: nn.Module) -> Adapter:
        family = str(model.config.encoder.model_type)  # type: ignore[union-attr]
        if family not in FAMILIES or model.config.decoder.model_type != family:  # type: ignore[union-attr]
            raise ModelError(
                f"{type(model).__name__}: encoder '{family}' with decoder '{model.config.decoder.model_type}' "  # type: ignore[union-attr]
                f"is not supported: both must be of the same family among {', '.join(FAMILIES)}."
            )
        return adapter_of_type(family, where=type(model).__name__)


def seq2seq_config(encoder: Any, tokenizer: Any, *, where: str) -> Any:
    """The configuration whose two halves are `encoder`'s, the second with a causal mask and fresh cross-attention.

    Decoding starts from the classification token and ends with the separator, as texts do for the encoder. Keys and
    values are kept only if a caller asks for it. Raises `ModelError` for another family.
    """
    from transformers import EncoderDecoderConfig

    if encoder.model_type not in FAMILIES:
        raise ModelError(
            f"{where}: architecture '{encoder.model_type}' has no cross-attention in transformers, so it cannot become "
            f"a decoder. Translation needs one of: {', '.join(FAMILIES)}, or a translation model."
        )
    decoder = copy.deepcopy(encoder)
    decoder.use_cache = False
    return EncoderDecoderConfig.from_encoder_decoder_configs(
        encoder,
        decoder,
        vocab_size=encoder.vocab_size,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.sep_token_id,
        decoder_start_token_id=tokenizer.cls_token_id,
        use_cache=False,
    )


def join(encoder: nn.Module, decoder: nn.Module, config: Any) -> nn.Module:
    """The translation model of two halves that are loaded already; without a pooler, whose output nobody reads."""
    from transformers import EncoderDecoderModel

    model: nn.Module = EncoderDecoderModel(config=config, encoder=encoder, decoder=decoder)
    return without_pooler(model)


def without_pooler(model: nn.Module) -> nn.Module:
    """`model`, and if it is made of two encoders, the first one's pooler is dropped in place."""
    config: Any = model.config
    half: Any = getattr(model, "encoder", None)
    if config.model_type == "encoder-decoder" and hasattr(half, "pooler"):
        half.pooler = None
    return model


@contextmanager
def numbered_layers(model: nn.Module) -> Iterator[None]:
    """While it lasts, each run of a decoder layer of `model` has a slot of its own in the cache of keys and values.

    transformers numbers a layer's slot when the layer is made. One that runs in several positions would write several
    times into one slot and attend to all of it, so its number is set again before each run.
    """
    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    runs = _Runs()
    parent = model.get_submodule(adapter.stack_name(model, "decoder").rpartition(".")[0])
    hooks = [parent.register_forward_pre_hook(runs.begin)]
    hooks += [layer.register_forward_pre_hook(runs.number) for layer in dict.fromkeys(adapter.layers(model, "decoder"))]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Runs:
    """Counts the runs of layers within one call of the stack."""

    def __init__(self) -> None:
        self._count = 0

    def begin(self, _stack: nn.Module, _inputs: Any) -> None:
        self._count = 0

    def number(self, layer: nn.Module, _inputs: Any) -> None:
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = self._count  # type: ignore[assignment]
        self._count += 1
