"""The registration of bench's own architectures with transformers."""

from __future__ import annotations

PREFIX = "bench-"  # of the `model_type` of every architecture that is not transformers' own


def register(model_type: str) -> None:
    """File bench's configurations and models under their `model_type`, if `model_type` is one of them.

    For others nothing is imported, so that loading them takes no longer; a second call changes nothing.
    """
    if not model_type.startswith(PREFIX):
        return
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForQuestionAnswering,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
    )

    from bench.models.answering.listed_answers import ListedAnswersForQuestionAnswering
    from bench.models.answering.retriever_reader import RetrieverReaderForQuestionAnswering
    from bench.models.recurrent.bilstm import BiLstmForSequenceClassification
    from bench.models.recurrent.language_model import LstmForCausalLM
    from bench.models.recurrent.seq2seq import LstmForConditionalGeneration
    from bench.models.recurrent.state_bilstm import StateBiLstmForSequenceClassification

    for auto, model in (
        (AutoModelForCausalLM, LstmForCausalLM),
        (AutoModelForSeq2SeqLM, LstmForConditionalGeneration),
        (AutoModelForQuestionAnswering, ListedAnswersForQuestionAnswering),
        (AutoModelForQuestionAnswering, RetrieverReaderForQuestionAnswering),
        (AutoModelForSequenceClassification, BiLstmForSequenceClassification),
        (AutoModelForSequenceClassification, StateBiLstmForSequenceClassification),
    ):
        config = model.config_class
        AutoConfig.register(config.model_type, config, exist_ok=True)
        auto.register(config, model, exist_ok=True)
