"""A program that looks for passages by their vectors and reads the best ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForQuestionAnswering, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import ModelOutput
from typing_extensions import override

from bench.base.errors import ModelError
from bench.models.answering.system import AnsweringModel, bare, encoded, encoder_of, sentence_vectors
from bench.models.answering.texts import StoredTexts, size_of
from bench.models.encoder_decoder import FAMILIES

READ = 2  # passages that are read for a question
LONGEST_ANSWER = 30  # tokens, as in SQuAD's usual evaluation


class RetrieverReaderConfig(PreTrainedConfig):  # type: ignore[misc]
    """The configurations of both encoders, and the sizes of what is stored.

    A stored row is what comes after a question: `joint` tokens of the tokenizer's template, the passage, `tail` tokens.
    `max_position_embeddings` is what a row leaves of the reader's positions, so the most tokens of a question.
    """

    model_type = "bench-retriever-reader"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "reader_config": SubConfigSpec(config_class=AutoConfig, model_type="bert"),
        "retriever_config": SubConfigSpec(config_class=AutoConfig, model_type="bert"),
    }

    reader_config: PreTrainedConfig | dict[str, Any] | None = None
    retriever_config: PreTrainedConfig | dict[str, Any] | None = None
    passages: int = 1
    text_bytes: int = 1
    row_length: int = 1
    joint: int = 0
    tail: int = 1
    segments: bool = False
    read: int = READ
    vocab_size: int = 1
    hidden_size: int = 1
    num_attention_heads: int = 1
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None


@dataclass
class ReadOutput(ModelOutput):  # type: ignore[misc]
    """Scores of the tokens at which an answer starts and ends.

    If the input holds a passage [batch, length]; else [batch, read, row] over the tokens of each passage that was
    found, and `places` [batch, read] says which these are.
    """

    start_logits: Tensor
    end_logits: Tensor = None  # type: ignore[assignment]  # transformers lets one field be required
    places: Tensor | None = None


class _Stretch(NamedTuple):
    """The best answer of one question: in which of its passages, and the first and last token of the row."""

    rank: int
    first: int
    last: int


class RetrieverReaderForQuestionAnswering(AnsweringModel):
    """Two encoders of one tokenizer over stored passages: their texts, their tokens, and their vectors.

    Retrieving and reading as in Chen et al. 2017, arXiv:1704.00051; vectors as in Karpukhin et al. 2020,
    arXiv:2004.04906, but those of one encoder that is pretrained for sentences, for questions and passages alike.
    The retriever is not trained: its vectors of passages would be out of date.
    """

    config_class = RetrieverReaderConfig
    parts: ClassVar[dict[str, str]] = {
        "texts": "corpus",
        "tokens": "corpus",
        "lengths": "corpus",
        "vectors": "vectors",
    }

    def __init__(
        self, config: RetrieverReaderConfig, reader: nn.Module | None = None, retriever: nn.Module | None = None
    ) -> None:
        super().__init__(config)
        made = reader is None
        self.reader = AutoModelForQuestionAnswering.from_config(config.reader_config) if reader is None else reader
        self.retriever = encoder_of(config.retriever_config) if retriever is None else retriever
        self.retriever.requires_grad_(False)
        self.config.reader_config, self.config.retriever_config = self.reader.config, self.retriever.config
        self.texts = StoredTexts(config.passages, config.text_bytes)
        self.register_buffer("tokens", torch.zeros(config.passages, config.row_length, dtype=torch.int32))
        self.register_buffer("lengths", torch.zeros(config.passages, dtype=torch.int32))
        width = int(self.retriever.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.register_buffer("vectors", torch.zeros(config.passages, width))
        if made:
            self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        passage_mask: Tensor | None = None,
    ) -> ReadOutput:
        """Read passages that were found, or the one that is given.

        Args:
            input_ids: questions [batch, length], padded on the right; with `passage_mask`, each with a passage.
            attention_mask: 1 at real tokens; None if all are real.
            token_type_ids: segment ids of question and passage; not used if passages are looked for.
            passage_mask: 1 at the tokens of the passage that stands in the input; None looks for passages.
        """
        if passage_mask is not None:
            return self._read(input_ids, attention_mask, token_type_ids)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        vectors = sentence_vectors(self.retriever, input_ids, mask)
        places = (vectors @ self.vectors.T).topk(self.config.read, dim=1).indices  # [batch, read]
        found = [self._read_row(input_ids, mask, places[:, rank]) for rank in range(self.config.read)]
        return ReadOutput(
            start_logits=torch.stack([each.start_logits for each in found], dim=1),
            end_logits=torch.stack([each.end_logits for each in found], dim=1),
            places=places,
        )

    def answers(self, input_ids: Tensor, attention_mask: Tensor, tokenizer: Any) -> list[str]:
        """The stretch of at most 30 tokens with the largest sum of both scores over all passages that were read."""
        outputs = self(input_ids, attention_mask)
        spans = best_spans(outputs.start_logits.float(), outputs.end_logits.float())
        written = []
        for span, places in zip(spans, outputs.places.tolist(), strict=True):
            passage = self.texts.text(places[span.rank])
            offsets = tokenizer(passage, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            first, last = span.first - self.config.joint, span.last - self.config.joint
            written.append(passage[offsets[first][0] : offsets[last][1]])
        return written

    @property
    @override
    def question_encoder(self) -> nn.Module:
        return self.retriever

    def _architecture(self) -> Any:
        return self.reader

    def _read(self, input_ids: Tensor, attention_mask: Tensor | None, segments: Tensor | None) -> ReadOutput:
        more = {} if segments is None else {"token_type_ids": segments}
        found = self.reader(input_ids=input_ids, attention_mask=attention_mask, **more)
        return ReadOutput(start_logits=found.start_logits, end_logits=found.end_logits)

    def _read_row(self, input_ids: Tensor, mask: Tensor, places: Tensor) -> ReadOutput:
        """Scores [batch, row] of one stored row per question, the lowest number outside its passage.

        The row begins right after the question's last token, so positions do not depend on the rest of the batch.
        """
        rows, lengths = self.tokens[places].long(), self.lengths[places].long()[:, None]
        asked = mask.long().sum(dim=1, keepdim=True)
        slots = torch.arange(input_ids.size(1) + rows.size(1), device=input_ids.device)[None, :]
        inside = slots - asked  # position in the row, below 0 in the question
        question = input_ids.gather(1, slots.clamp(max=input_ids.size(1) - 1).expand(len(rows), -1))
        ids = torch.where(inside < 0, question, rows.gather(1, inside.clamp(0, rows.size(1) - 1)))
        real = inside < lengths
        ids = torch.where(real, ids, torch.full_like(ids, int(self.config.pad_token_id or 0)))
        segments = ((inside >= 0) & real).long() if self.config.segments else None
        read = self._read(ids, real.long(), segments)
        row = torch.arange(rows.size(1), device=input_ids.device)[None, :]
        allowed = (row >= self.config.joint) & (row < lengths - self.config.tail)
        lowest = torch.finfo(read.start_logits.dtype).min
        start, end = (
            torch.where(allowed, scores.gather(1, row + asked), torch.full_like(allowed, lowest, dtype=scores.dtype))
            for scores in (read.start_logits, read.end_logits)
        )
        return ReadOutput(start_logits=start, end_logits=end)


def best_spans(start: Tensor, end: Tensor) -> list[_Stretch]:
    """The best stretch of 1 to 30 tokens per question, from scores [batch, read, row]."""
    batch, read, length = start.shape
    sums = torch.full((batch, LONGEST_ANSWER, read, length), float("-inf"), device=start.device)
    for more in range(min(LONGEST_ANSWER, length)):
        sums[:, more, :, : length - more] = start[:, :, : length - more] + end[:, :, more:]
    found = []
    for place in sums.flatten(1).argmax(dim=1).tolist():
        more, rest = divmod(place, read * length)
        rank, first = divmod(rest, length)
        found.append(_Stretch(rank, first, first + more))
    return found


def look_up(
    reader: nn.Module,
    passages: Sequence[str],
    tokenizer: Any,
    *,
    row_length: int,
    read: int = READ,
) -> RetrieverReaderForQuestionAnswering:
    """A program with `reader` inside it and not copied, whose retriever is a copy of the reader's encoder as it is now.

    Args:
        reader: a model with a span head, not yet trained on the task: its encoder gives passages their vectors.
        passages: at least one; each is cut after the tokens that fit a row.
        tokenizer: of both encoders.
        row_length: tokens of a passage with what the tokenizer's template puts around it.
        read: how many passages are read for a question, at most.

    Raises:
        ModelError: the reader is of an architecture that is not supported here, or has too few positions for a row of
            that length and a question.
    """
    inner: Any = reader.config
    if inner.model_type not in FAMILIES:
        raise ModelError(
            f"{type(reader).__name__}: architecture '{inner.model_type}' cannot be part of an answering program. "
            f"Choose a model of one of: {', '.join(FAMILIES)}."
        )
    joint, tail = _template(tokenizer)
    positions = getattr(inner, "max_position_embeddings", None)
    if row_length <= len(joint) + len(tail) or (positions and positions - row_length < row_length // 8 + 2):
        raise ModelError(
            f"{type(reader).__name__}: passages of {row_length} tokens and a question do not fit {positions} "
            "positions. Change max_length of the task."
        )
    rows = _rows(passages, tokenizer, joint, tail, row_length)
    retriever = copy.deepcopy(bare(reader))
    config = RetrieverReaderConfig(
        reader_config=inner.to_dict(),
        retriever_config=inner.to_dict(),
        passages=len(passages),
        text_bytes=size_of(passages),
        row_length=max(map(len, rows)),
        joint=len(joint),
        tail=len(tail),
        segments="token_type_ids" in tokenizer.model_input_names,
        read=min(read, len(passages)),
        vocab_size=inner.vocab_size,
        hidden_size=inner.hidden_size,
        num_attention_heads=inner.num_attention_heads,
        max_position_embeddings=positions - max(map(len, rows)) if positions else None,
        pad_token_id=tokenizer.pad_token_id,
    )
    retriever.config = copy.deepcopy(inner)
    model = RetrieverReaderForQuestionAnswering(config, reader, retriever)
    model.config._attn_implementation = inner._attn_implementation
    model.texts.fill(passages)
    for place, row in enumerate(rows):
        model.tokens[place, : len(row)] = torch.tensor(row, dtype=torch.int32)
        model.lengths[place] = len(row)
    model.vectors.copy_(encoded(retriever, tokenizer, passages, max_length=row_length))
    return model.to(next(reader.parameters()).device).train(reader.training)  # type: ignore[no-any-return]


def with_reader(model: RetrieverReaderForQuestionAnswering, reader: nn.Module) -> RetrieverReaderForQuestionAnswering:
    """A copy of `model` with another reader, which is not copied: its passages and its retriever are the same."""
    config = copy.deepcopy(model.config)
    config.reader_config = reader.config
    device = next(reader.parameters()).device
    made = RetrieverReaderForQuestionAnswering(config, reader, copy.deepcopy(model.retriever))
    made.config._attn_implementation = reader.config._attn_implementation  # type: ignore[union-attr]
    made.texts.load_state_dict(model.texts.state_dict())
    for name in ("tokens", "lengths", "vectors"):
        getattr(made, name).copy_(getattr(model, name))
    return made.to(device).train(reader.training)  # type: ignore[no-any-return]


def _rows(
    passages: Sequence[str], tokenizer: Any, joint: list[int], tail: list[int], row_length: int
) -> list[list[int]]:
    room = row_length - len(joint) - len(tail)
    cut = tokenizer(list(passages), add_special_tokens=False, truncation=True, max_length=room)["input_ids"]
    return [[*joint, *ids, *tail] for ids in cut]


def _template(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts between two texts, after the first one's own end, and after the second."""
    alone = tokenizer("a")["input_ids"]
    second = tokenizer("a", add_special_tokens=False)["input_ids"]
    both = tokenizer("a", "a")["input_ids"]
    rest = both[len(alone) :]
    if both[: len(alone)] != alone:
        raise ModelError("the tokenizer ends a text otherwise if a second one follows, so passages cannot be stored")
    start = next(place for place in range(len(rest)) if rest[place : place + len(second)] == second)
    return rest[:start], rest[start + len(second) :]
