"""An LSTM translator with global attention (Luong et al. 2015, arXiv:1508.04025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PreTrainedConfig
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.utils import ModelOutput

from bench.models.recurrent.layer import LstmLayer, RecurrentModel, lengths_of, run_layers


class LstmSeq2SeqConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of an LSTM translator; one vocabulary and, if tied, one table for source, target and softmax."""

    model_type = "bench-lstm-seq2seq"

    vocab_size: int = 8000
    hidden_size: int = 256
    encoder_layers: int = 2
    decoder_layers: int = 2
    dropout: float = 0.2
    initializer_range: float = 0.1
    is_encoder_decoder: bool = True
    tie_word_embeddings: bool = True
    use_cache: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    decoder_start_token_id: int | None = None


@dataclass
class EncodedSource(ModelOutput):  # type: ignore[misc]
    """`last_hidden_state` [batch, length, width], `states` [batch, layers, 2, width] at each row's last real token."""

    last_hidden_state: Tensor
    states: Tensor | None = None


class DecoderStates:
    """The decoder's states [batch, layers, 2, width] between two steps, in the form that `generate` passes on."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def reorder_cache(self, rows: Tensor) -> None:
        """Keep the beams that go on, by their rows."""
        self.tensor = self.tensor.index_select(0, rows)


class LstmEncoder(nn.Module):
    """Reads the source from left to right."""

    def __init__(self, config: LstmSeq2SeqConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            LstmLayer(config.hidden_size, config.hidden_size) for _ in range(config.encoder_layers)
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_unused: Any) -> EncodedSource:
        """Encode ids [batch, length], padded on the right."""
        lengths = lengths_of(attention_mask)
        hidden, states = run_layers(self.layers, self.embed_tokens(input_ids), None, lengths, dropout=self.dropout)
        return EncodedSource(last_hidden_state=hidden, states=states)


class GlobalAttention(nn.Module):
    """a_t(s) = softmax_s(h_t^T W_a h_s) and tanh(W_c [c_t; h_t]) (Luong et al. 2015, eq. 5, 7 and "general" in 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, width, bias=False)
        self.combine = nn.Linear(2 * width, width, bias=False)

    def forward(self, hidden: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """[batch, target, width] of the decoder's [batch, target, width] and the encoder's [batch, source, width]."""
        scores = self.score(hidden) @ source.transpose(1, 2)  # [batch, target, source]
        if mask is not None:
            scores = scores.masked_fill(mask[:, None, :] == 0, torch.finfo(scores.dtype).min)
        context = functional.softmax(scores, dim=-1) @ source
        return torch.tanh(self.combine(torch.cat([context, hidden], dim=-1)))


class LstmDecoder(nn.Module):
    """Writes the target from the encoder's last states on, with attention over the top layer; no input feeding."""

    def __init__(self, config: LstmSeq2SeqConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            LstmLayer(config.hidden_size, config.hidden_size) for _ in range(config.decoder_layers)
        )
        self.attention = GlobalAttention(config.hidden_size)

    def forward(
        self, input_ids: Tensor, states: Tensor, source: Tensor, source_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states [batch, target, width] and the states at the end."""
        hidden, ends = run_layers(self.layers, self.embed_tokens(input_ids), states, None, dropout=self.dropout)
        return self.attention(hidden, source, source_mask), ends


class LstmSeq2Seq(nn.Module):
    """Encoder and decoder."""

    def __init__(self, config: LstmSeq2SeqConfig) -> None:
        super().__init__()
        self.encoder = LstmEncoder(config)
        self.decoder = LstmDecoder(config)


class LstmForConditionalGeneration(RecurrentModel, GenerationMixin):  # type: ignore[misc]
    """Translator; if `config.tie_word_embeddings`, one table is both embeddings and the softmax.

    Decoder layer i starts from the last state of encoder layer i, the decoder's further ones from that of the
    encoder's last.
    """

    config_class = LstmSeq2SeqConfig
    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "model.decoder.embed_tokens.weight": "model.encoder.embed_tokens.weight",
        "lm_head.weight": "model.encoder.embed_tokens.weight",
    }

    def __init__(self, config: LstmSeq2SeqConfig) -> None:
        super().__init__(config)
        self.model = LstmSeq2Seq(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: EncodedSource | None = None,
        past_key_values: DecoderStates | None = None,
        use_cache: bool | None = None,
        **_unused: Any,
    ) -> Seq2SeqLMOutput:
        """Logits [batch, target, vocabulary].

        Args:
            input_ids: the source [batch, source], padded on the right; not read if `encoder_outputs` is given.
            attention_mask: 1 at the source's real tokens; None if all are real.
            decoder_input_ids: the target, begun with `config.decoder_start_token_id`.
            encoder_outputs: what the encoder gave for the source.
            past_key_values: the states after the target so far; `decoder_input_ids` is then what comes after it.
            use_cache: whether to give the states for the next step.
        """
        encoded: Any = self.model.encoder(input_ids, attention_mask) if encoder_outputs is None else encoder_outputs
        states = self._first(encoded.states) if past_key_values is None else past_key_values.tensor
        hidden, ends = self.model.decoder(decoder_input_ids, states, encoded.last_hidden_state, attention_mask)
        hidden = functional.dropout(hidden, p=self.config.dropout, training=self.training)
        return Seq2SeqLMOutput(
            logits=self.lm_head(hidden),
            past_key_values=DecoderStates(ends) if use_cache else None,
            encoder_last_hidden_state=encoded.last_hidden_state,
        )

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """The encoder, which `generate` runs once."""
        return self.model.encoder

    def get_input_embeddings(self) -> nn.Module:
        """The source's embedding table."""
        return self.model.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another source embedding in place."""
        self.model.encoder.embed_tokens = value

    def _first(self, states: Tensor) -> Tensor:
        """The decoder's first states, from the encoder's last ones."""
        wanted, given = len(self.model.decoder.layers), states.size(1)
        return states[:, [min(index, given - 1) for index in range(wanted)]]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False
