"""A program that chooses one of the answers it has stored, by the vector of the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import ModelOutput
from typing_extensions import override

from bench.base.errors import ModelError
from bench.models.answering.system import AnsweringModel, encoder_of, mean_states, sentence_vectors
from bench.models.answering.texts import StoredTexts, size_of


class ListedAnswersConfig(PreTrainedConfig):  # type: ignore[misc]
    """The configuration of the encoder, the number of stored answers and their bytes.

    With `learned` the scores are those of a classifier, with a bias. Without, they are cosines with the vectors of
    known questions.
    """

    model_type = "bench-listed-answers"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="bert")
    }

    encoder_config: PreTrainedConfig | dict[str, Any] | None = None
    count: int = 1
    text_bytes: int = 1
    learned: bool = False
    vocab_size: int = 1
    hidden_size: int = 1
    num_attention_heads: int = 1
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None


@dataclass
class ListedAnswersOutput(ModelOutput):  # type: ignore[misc]
    """`logits` [batch, answers]."""

    logits: Tensor


class ListedAnswersForQuestionAnswering(AnsweringModel):
    """An encoder and a linear map from its vectors to one score per stored answer."""

    config_class = ListedAnswersConfig
    parts: ClassVar[dict[str, str]] = {"scores": "vectors", "texts": "corpus"}

    def __init__(self, config: ListedAnswersConfig, encoder: nn.Module | None = None) -> None:
        super().__init__(config)
        self.encoder = encoder_of(config.encoder_config) if encoder is None else encoder
        self.config.encoder_config = self.encoder.config
        self.scores = nn.Linear(config.hidden_size, config.count, bias=config.learned)
        self.texts = StoredTexts(config.count, config.text_bytes)
        if encoder is None:
            self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        passage_mask: Tensor | None = None,
    ) -> ListedAnswersOutput:
        """The score of every stored answer.

        Args:
            input_ids: questions [batch, length], padded on the right.
            attention_mask: 1 at real tokens; None if all are real.
            token_type_ids: not used: a question is one text.
            passage_mask: must be None.

        Raises:
            ModelError: a passage was given, which this program cannot read.
        """
        if passage_mask is not None:
            raise ModelError(
                "a program that chooses among stored answers reads no passages, so it cannot be trained as a reader. "
                "Train or calibrate before the stage that makes it, or only quantize or prune by weights after it."
            )
        vector = mean_states if self.config.learned else sentence_vectors
        return ListedAnswersOutput(logits=self.scores(vector(self.encoder, input_ids, attention_mask)))

    def answers(self, input_ids: Tensor, attention_mask: Tensor, tokenizer: Any) -> list[str]:
        """The stored answer of the largest score, the first among equals."""
        del tokenizer
        logits = self(input_ids, attention_mask).logits
        return [self.texts.text(place) for place in logits.argmax(dim=1).tolist()]

    @property
    @override
    def question_encoder(self) -> nn.Module:
        return self.encoder

    def _architecture(self) -> Any:
        return self.encoder


def list_answers(
    encoder: nn.Module, answers: Sequence[str], *, vectors: Tensor | None = None
) -> ListedAnswersForQuestionAnswering:
    """A program over `answers`, in evaluation mode, with `encoder` inside it and not copied.

    Args:
        encoder: a bare encoder.
        answers: what it can say.
        vectors: [answers, width], whose cosine with the question's vector is an answer's score; None makes a
            classifier, whose weights are zero until they are learned.
    """
    inner: Any = encoder.config
    config = ListedAnswersConfig(
        encoder_config=inner.to_dict(),
        count=len(answers),
        text_bytes=size_of(answers),
        learned=vectors is None,
        vocab_size=inner.vocab_size,
        hidden_size=inner.hidden_size,
        num_attention_heads=inner.num_attention_heads,
        max_position_embeddings=getattr(inner, "max_position_embeddings", None),
        pad_token_id=inner.pad_token_id,
    )
    model = ListedAnswersForQuestionAnswering(config, encoder)
    model.config._attn_implementation = inner._attn_implementation
    model.texts.fill(answers)
    with torch.no_grad():
        model.scores.weight.zero_() if vectors is None else model.scores.weight.copy_(vectors)
        if model.scores.bias is not None:
            model.scores.bias.zero_()
    return model.to(next(encoder.parameters()).device).eval()  # type: ignore[no-any-return]
