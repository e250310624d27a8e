"""Built-in architectures with fresh weights and a tokenizer trained on the task's own texts: nothing to download."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError
from bench.models.limits import Limits, limits_of
from bench.models.source import ModelSource, label_settings

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """One built-in architecture: its `config.model_type`, the settings that differ from its defaults, vocabulary."""

    title: str
    model_type: str
    settings: dict[str, Any]
    vocabulary: int  # entries at most, special tokens included
    version: int = 1  # raised when the tokenizer's or the weights' making changes


@dataclass(frozen=True, kw_only=True)
class TextBuiltin(Builtin):
    """An architecture that writes text or reads it cased: its tokenizer is that of `bench.models.pieces`.

    If its settings give no `max_position_embeddings`, texts are cut at `TOKENS` tokens.
    """


TOKENS = 512


def _transformer(*, layers: int, width: int, ffn: int, dropout: float) -> dict[str, Any]:
    """Settings of a Transformer as published (Vaswani et al. 2017): post-norm, ReLU, scaled and tied embeddings.

    Fresh matrices are normal with 1/sqrt(width), so that every linear map keeps the variance of its input.
    """
    half = {f"{name}_layers": layers for name in ("encoder", "decoder")}
    half |= {f"{name}_attention_heads": 4 for name in ("encoder", "decoder")}
    half |= {f"{name}_ffn_dim": ffn for name in ("encoder", "decoder")}
    return {
        **half,
        "d_model": width,
        "activation_function": "relu",
        "dropout": dropout,
        "init_std": width**-0.5,
        "max_position_embeddings": 128,
        "scale_embedding": True,
        "use_cache": False,
    }


BUILTINS: dict[str, Builtin] = {
    "demo-bert": Builtin(
        title="a BERT of 4 layers, width 64, for demonstrations",
        model_type="bert",
        settings={
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "max_position_embeddings": 128,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.08,  # 0.02 starts too flat for a model this narrow
        },
        vocabulary=2000,
    ),
    "demo-transformer": TextBuiltin(
        title="a translation Transformer of 2 + 2 layers, width 64, for demonstrations",
        model_type="marian",
        settings=_transformer(layers=2, width=64, ffn=256, dropout=0.0),
        vocabulary=1000,
    ),
    "small-transformer": TextBuiltin(
        title="a translation Transformer of 3 + 3 layers, width 256, 8,000 pieces",
        model_type="marian",
        settings=_transformer(layers=3, width=256, ffn=1024, dropout=0.1),
        vocabulary=8000,
    ),
    "deep-transformer": TextBuiltin(
        title="a translation Transformer of 4 + 4 layers, width 64, 2,000 pieces",
        model_type="marian",
        settings=_transformer(layers=4, width=64, ffn=256, dropout=0.0),
        vocabulary=2000,
    ),
    "demo-lstm": TextBuiltin(
        title="an LSTM language model of 2 layers, width 64, for demonstrations",
        model_type="bench-lstm-lm",
        settings={"hidden_size": 64, "num_hidden_layers": 2, "dropout": 0.0},
        vocabulary=1000,
    ),
    "small-lstm": TextBuiltin(
        title="an LSTM language model of 2 layers, width 256, 8,000 pieces",
        model_type="bench-lstm-lm",
        settings={"hidden_size": 256, "num_hidden_layers": 2, "dropout": 0.2},
        vocabulary=8000,
    ),
    "demo-lstm-seq2seq": TextBuiltin(
        title="an LSTM translator with attention of 2 + 2 layers, width 64, for demonstrations",
        model_type="bench-lstm-seq2seq",
        settings={"hidden_size": 64, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0.0},
        vocabulary=1000,
    ),
    "small-lstm-seq2seq": TextBuiltin(
        title="an LSTM translator with attention of 2 + 2 layers, width 256, 8,000 pieces",
        model_type="bench-lstm-seq2seq",
        settings={"hidden_size": 256, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0.2},
        vocabulary=8000,
    ),
    "demo-bilstm": Builtin(
        title="an ELMo-like biLSTM of 2 layers, width 2 x 32, for demonstrations",
        model_type="bench-bilstm",
        settings={"hidden_size": 32, "num_hidden_layers": 2, "dropout": 0.0},
        vocabulary=2000,
    ),
    "small-bilstm": Builtin(
        title="an ELMo-like biLSTM of 2 layers, width 2 x 256",
        model_type="bench-bilstm",
        settings={"hidden_size": 256, "num_hidden_layers": 2, "dropout": 0.1},
        vocabulary=8000,
    ),
}


@dataclass(frozen=True, kw_only=True)
class BuiltinSource(ModelSource):
    """A model of `BUILTINS`; it has no pretrained weights, so `pretrained` makes no difference."""

    def fingerprint(self) -> str:
        """SHA-256 of the definition; what its tokenizer is trained on is the caller's to add."""
        definition = vars(BUILTINS[self.name])
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()

    def limits(self) -> Limits:
        """The bounds of its settings; its rows are made for the task."""
        from bench.models.heads import config_of

        definition = BUILTINS[self.name]
        return replace(limits_of(config_of(definition.model_type, definition.settings)), rows=None)

    def tokenizer(self, texts: Callable[[], Iterable[str]]) -> Any:
        """For an encoder a lower-casing WordPiece tokenizer over the most frequent words and characters of `texts()`.

        For an architecture of text the cased and reversible one of `bench.models.pieces`.
        """
        from bench.models.pieces import train_text_tokenizer
        from bench.models.wordpieces import train_tokenizer

        definition = BUILTINS[self.name]
        train = train_text_tokenizer if isinstance(definition, TextBuiltin) else train_tokenizer
        return train(
            texts(),
            size=definition.vocabulary,
            max_length=definition.settings.get("max_position_embeddings", TOKENS),
        )

    def build(
        self,
        *,
        head: str,
        labels: Sequence[str] | None,
        tokenizer: Any,
        seed: int,
        depth: int | None = None,
        pretrained: bool = True,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> nn.Module:
        """Random weights, drawn on the CPU from `seed` alone; see `ModelSource.build`."""
        import torch

        from bench.models.adapter import adapter_of_type
        from bench.models.encoder_decoder import seq2seq_config
        from bench.models.heads import config_of, from_config

        definition = BUILTINS[self.name]
        if depth is not None and depth < 1:
            raise ModelError(f"{self.name}: depth {depth}: an encoder needs at least one layer")
        made = {
            **definition.settings,
            **label_settings(head, labels),
            **self.head_settings(head, settings),
            **_tokens(definition, tokenizer),
        }
        for name in adapter_of_type(definition.model_type, where=self.name).depths.values():
            made[name] = depth or made[name]
        config = config_of(definition.model_type, made)
        if head == "translation" and not config.is_encoder_decoder:
            config = seq2seq_config(config, tokenizer, where=self.name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return from_config(config, head).float().eval()


def _tokens(definition: Builtin, tokenizer: Any) -> dict[str, Any]:
    """The size of the vocabulary, and which tokens pad, begin and end; decoding starts with the one that begins."""
    settings = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if not isinstance(definition, TextBuiltin):
        return settings
    return {
        **settings,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.bos_token_id,
        "forced_eos_token_id": None,
    }
