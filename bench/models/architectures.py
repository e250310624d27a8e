"""Where the supported Transformers keep their layers and linear modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from torch import nn
from typing_extensions import override

from bench.models.adapter import ADAPTERS, Adapter, Part, Role
from bench.models.roles import AttentionPlaces, HeadNames, Size

_SIZES: dict[Size, str] = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "neurons": "intermediate_size",
}


@ADAPTERS.register("bert")
class BertAdapter(Adapter):
    """BERT (Devlin et al. 2019, arXiv:1810.04805): post-norm layers in `encoder.layer`, run from first to last."""

    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.layer"}
    sizes: ClassVar[dict[Size, str]] = _SIZES
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ),
        "cross_attention": (
            "crossattention.self.query",
            "crossattention.self.key",
            "crossattention.self.value",
            "crossattention.output.dense",
        ),
        "ffn": ("intermediate.dense", "output.dense"),
        "norms": ("attention.output.LayerNorm", "crossattention.output.LayerNorm", "output.LayerNorm"),
    }
    activation: ClassVar[str | None] = "intermediate.intermediate_act_fn"
    classifier: ClassVar[HeadNames | None] = HeadNames("BASE.pooler.dense", "classifier", "tanh")
    attention_places: ClassVar[AttentionPlaces | None] = AttentionPlaces("attention.self", "attention.output.LayerNorm")


@ADAPTERS.register("roberta")
class RobertaAdapter(BertAdapter):
    """RoBERTa (Liu et al. 2019, arXiv:1907.11692): names as in BERT inside the encoder, other heads."""

    model_types: ClassVar[tuple[str, ...]] = ("roberta",)
    classifier: ClassVar[HeadNames | None] = HeadNames("classifier.dense", "classifier.out_proj", "tanh")

    @override
    def skipped_id(self, config: Any) -> int | None:
        return int(config.pad_token_id or 0)


@ADAPTERS.register("xlm-roberta")
class XlmRobertaAdapter(RobertaAdapter):
    """XLM-RoBERTa (Conneau et al. 2020, arXiv:1911.02116): RoBERTa's names, words of 100 languages."""

    model_types: ClassVar[tuple[str, ...]] = ("xlm-roberta",)


@ADAPTERS.register("roberta-prelayernorm")
class RobertaPreLayerNormAdapter(RobertaAdapter):
    """RoBERTa-PreLayerNorm (Wettig et al. 2022, arXiv:2202.08005): RoBERTa with norms before each part of a layer."""

    model_types: ClassVar[tuple[str, ...]] = ("roberta-prelayernorm",)
    classifier: ClassVar[HeadNames | None] = None  # a norm is between the last layer and the head
    attention_places: ClassVar[AttentionPlaces | None] = None  # norms come before
    post_norm: ClassVar[bool] = False
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        **BertAdapter.part_names,
        "norms": ("attention.LayerNorm", "crossattention.LayerNorm", "intermediate.LayerNorm"),
    }


@ADAPTERS.register("electra")
class ElectraAdapter(BertAdapter):
    """ELECTRA (Clark et al. 2020, arXiv:2003.10555): names as in BERT inside the encoder, other heads."""

    model_types: ClassVar[tuple[str, ...]] = ("electra",)
    classifier: ClassVar[HeadNames | None] = HeadNames("classifier.dense", "classifier.out_proj", "gelu")


@ADAPTERS.register("distilbert")
class DistilBertAdapter(Adapter):
    """DistilBERT (Sanh et al. 2019, arXiv:1910.01108): layers in `transformer.layer`; no token types, no pooler."""

    model_types: ClassVar[tuple[str, ...]] = ("distilbert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "transformer.layer"}
    sizes: ClassVar[dict[Size, str]] = {
        "layers": "n_layers",
        "width": "dim",
        "heads": "n_heads",
        "neurons": "hidden_dim",
    }
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attention_output": "attention.out_lin",
        "ffn_in": "ffn.lin1",
        "ffn_out": "ffn.lin2",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        "ffn": ("ffn.lin1", "ffn.lin2"),
        "norms": ("sa_layer_norm", "output_layer_norm"),
    }
    activation: ClassVar[str | None] = "ffn.activation"
    classifier: ClassVar[HeadNames | None] = HeadNames("pre_classifier", "classifier", "relu")
    attention_places: ClassVar[AttentionPlaces | None] = AttentionPlaces("attention", "sa_layer_norm")

    def _place(self, model: nn.Module, layers: Sequence[nn.Module], stack: str) -> None:
        super()._place(model, layers, stack)
        parent = self.stack_name(model, stack).rpartition(".")[0]
        model.get_submodule(parent).n_layers = len(layers)  # type: ignore[assignment]


@ADAPTERS.register("albert")
class AlbertAdapter(Adapter):
    """ALBERT (Lan et al. 2020, arXiv:1909.11942): `num_hidden_layers` runs over the stored groups.

    One layer here is one of `num_hidden_groups` groups of `inner_group_num` blocks. Run i uses group
    floor(i * groups / layers), as in the original.
    """

    model_types: ClassVar[tuple[str, ...]] = ("albert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.albert_layer_groups"}
    sizes: ClassVar[dict[Size, str]] = _SIZES
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.query",
        "key": "attention.key",
        "value": "attention.value",
        "attention_output": "attention.dense",
        "ffn_in": "ffn",
        "ffn_out": "ffn_output",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("attention.query", "attention.key", "attention.value", "attention.dense"),
        "ffn": ("ffn", "ffn_output"),
        "norms": ("attention.LayerNorm", "full_layer_layer_norm"),
    }
    activation: ClassVar[str | None] = "activation"
    attention_tail: ClassVar[tuple[str, str] | None] = ("output_dropout", "LayerNorm")
    iterates: ClassVar[bool] = False

    def layers(self, model: nn.Module, stack: str | None = None) -> list[nn.Module]:
        """The groups in the order in which they run; the one group of a standard ALBERT is repeated."""
        groups = self._stored(model, self._stack(model, stack))
        runs = int(model.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
        # Written like the model's own loop, so that rounding agrees for every pair of numbers.
        return [groups[int(run / (runs / len(groups)))] for run in range(runs)]

    def _place(self, model: nn.Module, layers: Sequence[nn.Module], stack: str) -> None:
        """Store one group if all runs share it, else one slot per run (slots may hold the same group)."""
        alike = all(layer is layers[0] for layer in layers)
        super()._place(model, layers[:1] if alike else layers, stack)
        model.config.num_hidden_groups = 1 if alike else len(layers)  # type: ignore[union-attr]

    def _inner(self, layer: nn.Module) -> list[tuple[str, nn.Module]]:
        blocks = cast(nn.ModuleList, layer.albert_layers)
        return [(f"albert_layers.{index}.", block) for index, block in enumerate(blocks)]


@ADAPTERS.register("marian")
class MarianAdapter(Adapter):
    """Marian: post-norm encoder and decoder layers, sinusoidal positions, one embedding table for all three places."""

    model_types: ClassVar[tuple[str, ...]] = ("marian",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.layers", "decoder": "decoder.layers"}
    depths: ClassVar[dict[str, str]] = {"encoder": "encoder_layers", "decoder": "decoder_layers"}
    roles: ClassVar[dict[Role, str]] = {
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "attention_output": "self_attn.out_proj",
        "ffn_in": "fc1",
        "ffn_out": "fc2",
        "cross_query": "encoder_attn.q_proj",
        "cross_key": "encoder_attn.k_proj",
        "cross_value": "encoder_attn.v_proj",
        "cross_output": "encoder_attn.out_proj",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
        "cross_attention": (
            "encoder_attn.q_proj",
            "encoder_attn.k_proj",
            "encoder_attn.v_proj",
            "encoder_attn.out_proj",
        ),
        "ffn": ("fc1", "fc2"),
        "norms": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
    }
    activation: ClassVar[str | None] = "activation_fn"

    def head_width(self, model: nn.Module, stack: str | None = None) -> int:
        """Encoder and decoder are of one width, each with a number of heads of its own."""
        heads = getattr(model.config, f"{self._stack(model, stack)}_attention_heads")
        return self.hidden_size(model) // int(heads)
