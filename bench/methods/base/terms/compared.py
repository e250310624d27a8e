"""What a term compares of a student and its teacher, and everything there is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.training.terms.readers import SignalReader

Relation = Literal["query", "key", "value"]


class Compared(Choice):
    """Something that a student and a teacher both have, and that a term of the objective brings together.

    `taught` says whether a teacher is needed, `layered` whether it is read from layers (`OfLayers`) and not from
    outputs. `usual` and `usual_map` are the divergence and the map of a term that names none. What has no `usual_map`
    is read at the embeddings only.
    """

    taught: ClassVar[bool] = True
    layered: ClassVar[bool] = False
    projectable: ClassVar[bool] = False  # whether a learned map between two widths makes sense
    usual: ClassVar[str] = "mse"
    usual_map: ClassVar[str | None] = None

    @property
    def embedded(self) -> bool:
        """Whether the embeddings are compared besides the layers of the map."""
        return False

    @property
    def of_head(self) -> bool:
        """Whether the outputs of the teacher's head are compared."""
        return self.taught and not self.layered


class OfLayers(Compared):
    """What is compared layer by layer, or at the embeddings."""

    layered: ClassVar[bool] = True

    @abstractmethod
    def readers(self) -> tuple[SignalReader, ...]:
        """What reads it from a run of a model; of several, each is a part of the term."""


COMPARED: Choices[Compared] = Choices("compared quantity", modules=(), group="bench.compared")


@COMPARED.register("labels")
class TrueLabels(Compared):
    """The task's own loss against the labels."""

    taught = False
    layered = False


@COMPARED.register("logits")
class HeadLogits(Compared):
    """The outputs of the head (Hinton et al. 2015, arXiv:1503.02531): of a class, a span, or each predicted token.

    If each token has a target, these tokens count: word-level distillation (Kim and Rush 2016, arXiv:1606.07947, §3.1),
    or distillation on masked tokens.
    """

    layered = False
    usual = "kl"


@COMPARED.register("hidden")
class HiddenStates(OfLayers):
    """What layers give, at every real token."""

    projectable = True
    usual_map = "uniform"

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import StateReader

        return (StateReader(),)


@COMPARED.register("cls")
class FirstState(OfLayers):
    """What an encoder's layers give at the first token, [CLS] (PKD: Sun et al. 2019, arXiv:1908.09355)."""

    projectable = True
    usual = "patient"
    usual_map = "skip"

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import StateReader

        return (StateReader(first=True),)


@COMPARED.register("embeddings")
class EmbeddedTokens(OfLayers):
    """What goes into the first layer of each stack, at every real token."""

    projectable = True

    @property
    @override
    def embedded(self) -> bool:
        return True

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import StateReader

        return (StateReader(),)


@COMPARED.register("states")
class EveryState(OfLayers):
    """The embeddings and what layers give, at every real token, as parts of one term."""

    projectable = True
    usual_map = "uniform"

    outputs: bool = Field(False, description="the logits are one more part, by their mean squared difference")

    @property
    @override
    def embedded(self) -> bool:
        return True

    @property
    @override
    def of_head(self) -> bool:
        return self.outputs

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import StateReader

        return (StateReader(),)


@COMPARED.register("attention-scores")
class AttentionScores(OfLayers):
    """q k^T / sqrt(width) of each head before the mask and the softmax (TinyBERT: arXiv:1909.10351, §3.1).

    Pairs of real tokens that may see each other count. Both models have as many heads. The authors' code counts pairs
    with padding as well, as no difference if the key is padding.
    """

    usual_map = "uniform"

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import ScoreReader

        return (ScoreReader(softmax=False),)


@COMPARED.register("attention")
class AttentionProbabilities(OfLayers):
    """The softmax of the attention scores, a distribution for each head and real query.

    With `kl` the mean over heads and queries, as in MiniLM (Wang et al. 2020, arXiv:2002.10957, §3.1) and Aguilar et
    al. (2020, arXiv:1910.03723).
    """

    usual = "kl"
    usual_map = "top"

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import ScoreReader

        return (ScoreReader(softmax=True),)


@COMPARED.register("values")
class ValueRelation(OfLayers):
    """softmax(V V^T / sqrt(width)) of each head (MiniLM: Wang et al. 2020, arXiv:2002.10957, §3.2), as attention is."""

    usual = "kl"
    usual_map = "top"

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import RelationReader

        return (RelationReader("value"),)


def _listed(value: object) -> object:
    return value.split("+") if isinstance(value, str) else value


@COMPARED.register("relations")
class SelfRelations(OfLayers):
    """softmax(X X^T / sqrt(d)) of queries, keys and values (MiniLMv2: Wang et al. 2021, arXiv:2012.15828, §3).

    The vectors of all heads are joined and split into `heads` relation heads of width d, so student and teacher may
    have different numbers of heads. Relations are parts of one term with equal weights, as in the paper.
    """

    usual = "kl"
    usual_map = "top"

    of: Annotated[tuple[Relation, ...], BeforeValidator(_listed)] = Field(
        ("query", "key", "value"), min_length=1, description="which vectors are compared among each other"
    )
    heads: int | None = Field(None, ge=1, description="relation heads; None is the model's own number of heads")

    @override
    def readers(self) -> tuple[SignalReader, ...]:
        from bench.training.terms.readers import RelationReader

        return tuple(RelationReader(side, heads=self.heads) for side in self.of)
