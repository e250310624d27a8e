"""Students of another size or architecture than the given model's, with weights of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError, ModelError
from bench.methods.base.choice import Chosen
from bench.methods.base.depth import refuse_lost_work
from bench.methods.base.method import Lab
from bench.methods.distill.students import STUDENTS, Pretrained, Student
from bench.methods.prune.saliencies import SALIENCIES, Saliency

if TYPE_CHECKING:
    from torch import nn


@STUDENTS.register("shape")
class OtherShape(Pretrained):
    """The given model's architecture, vocabulary and head in other sizes, with fresh weights (Turc et al. 2019).

    What they call BERT-tiny is 2 layers of width 128; TinyBERT has 4 of width 312 with 12 heads and 1200 neurons (Jiao
    et al. 2020, arXiv:1909.10351, §4.1).
    """

    layers: int | None = Field(None, ge=1, description="layers; None is half of the given model's")
    width: int | None = Field(None, ge=1, description="width of the hidden states; None is the given model's")
    heads: int | None = Field(None, ge=1, description="attention heads of a layer; None is as many as the given model")
    neurons: int | None = Field(None, ge=1, description="neurons of a feed-forward part; None is four times the width")

    @override
    def first(self, model: nn.Module, lab: Lab) -> nn.Module:
        from bench.models.adapter import adapter_for
        from bench.models.bodies import resized

        refuse_lost_work(model, lab.reference, where="distill: student 'shape'")
        adapter = adapter_for(lab.reference)
        width = self.width or adapter.hidden_size(lab.reference)
        sizes = {"layers": self.layers or max(1, adapter.depth(lab.reference) // 2), "width": width}
        sizes |= {"neurons": self.neurons or 4 * width}
        sizes |= {} if self.heads is None else {"heads": self.heads}
        try:
            return resized(lab.reference, sizes, seed=lab.seed).to(lab.device)
        except ModelError as error:
            raise MethodError(f"distill: student 'shape': {error}") from error


@STUDENTS.register("mobilebert")
class MobileBertStudent(Pretrained):
    """A MobileBERT with fresh weights: narrow blocks whose inputs and outputs are as wide as the given model's states.

    So a layer's output can be compared with a teacher's without a projection. The paper's sizes are 24 layers of width
    512 with blocks of 128; its teacher is a BERT-large with inverted bottlenecks (Sun et al. 2020, arXiv:2004.02984,
    §3.2).
    """

    layers: int | None = Field(None, ge=1, description="layers; None is as many as the given model has")
    bottleneck: int | None = Field(
        None, ge=1, description="width inside a layer; None is a quarter of the states', rounded up for the heads"
    )
    heads: int | None = Field(
        None, ge=1, description="attention heads of a layer; None is as many as the given model, whose heads they match"
    )
    stacked: int = Field(4, ge=1, description="feed-forward parts of a layer, one after the other")
    embedding: int | None = Field(None, ge=1, description="width of the embedding table; None is the bottleneck's")

    @override
    def first(self, model: nn.Module, lab: Lab) -> nn.Module:
        from bench.models.adapter import adapter_for
        from bench.models.limits import limits_of

        like = lab.reference
        adapter = adapter_for(like)
        width = adapter.hidden_size(like)
        heads = self.heads or adapter.heads(like)
        narrow = self.bottleneck or heads * math.ceil(width / 4 / heads)
        if narrow % heads:
            raise MethodError(
                f"distill: student 'mobilebert': {heads} heads do not divide a bottleneck of {narrow}. Give "
                f"student.bottleneck a multiple of student.heads."
            )
        settings = {
            "hidden_size": width,
            "num_hidden_layers": self.layers or adapter.depth(like),
            "intra_bottleneck_size": narrow,
            "num_attention_heads": heads,
            "num_feedforward_networks": self.stacked,
            "intermediate_size": 4 * narrow,
            "embedding_size": self.embedding or narrow,
        }
        limits = limits_of(like.config)
        settings |= {"type_vocab_size": max(2, limits.segments)}
        settings |= {} if limits.positions is None else {"max_position_embeddings": limits.positions}
        return beside_reference(model, lab, "mobilebert", settings, student="mobilebert")


@STUDENTS.register("bilstm")
class BiLstmStudent(Student):
    """A biLSTM over the given model's tokens, whose last states are classified (Tang et al. 2019, arXiv:1903.12136).

    One layer in both directions, a ReLU layer, logits; the two texts of a pair are read apart and compared (§3.1). The
    paper starts from word2vec embeddings of whole words; here tokens have random ones, or those of the given model.
    """

    width: int = Field(150, ge=1, description="width of the state of one direction")
    layers: int = Field(1, ge=1, description="layers")
    head: int = Field(200, ge=1, description="width of the ReLU layer before the logits")
    embedding: int = Field(300, ge=1, description="width of random embeddings")
    embeddings: Literal["fresh", "given"] = Field(
        "fresh", description="random embeddings, or a copy of the given model's table"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout before each layer and before the ReLU layer")

    @override
    def made(self, model: nn.Module, lab: Lab) -> nn.Module:
        import torch

        from bench.models.adapter import adapter_for

        table = adapter_for(lab.reference).word_embedding(lab.reference)
        given = self.embeddings == "given"
        tokenizer = lab.tokenizer
        separator = tokenizer.sep_token_id
        settings = {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "head_size": self.head,
            "embedding_size": table.embedding_dim if given else self.embedding,
            "dropout": self.dropout,
            "pairs": any(example.paired for example in lab.examples),
            "separator_id": tokenizer.eos_token_id if separator is None else separator,
        }
        student = beside_reference(model, lab, "bench-state-bilstm", settings, student="bilstm")
        if given:
            with torch.no_grad():
                adapter_for(student).word_embedding(student).weight.copy_(table.weight)
        return student


@STUDENTS.register("narrow")
class Narrower(Student):
    """The given model without its least important attention heads and feed-forward neurons; states stay as wide.

    Heads go first, then neurons, by `prune`'s saliencies without any training in between, and both are cut out.
    """

    heads: float = Field(0.5, ge=0, lt=1, description="share of the attention heads that go")
    neurons: float = Field(0.5, ge=0, lt=1, description="share of the feed-forward neurons that go")
    saliency: Annotated[Saliency, Chosen(SALIENCIES)] = Field(
        default_factory=SALIENCIES.default("gate-gradient"), description="how the importance of a unit is scored"
    )
    scope: Literal["global", "layer"] = Field(
        "layer", description="the same share of every layer, or the least important ones of the whole model"
    )

    @override
    def made(self, model: nn.Module, lab: Lab) -> nn.Module:
        from bench.methods.prune.prune import Prune
        from bench.methods.shrink.shrink import Shrink

        student = model
        for unit, share in (("head", self.heads), ("neuron", self.neurons)):
            if share:
                made = {"unit": unit, "sparsity": share, "saliency": self.saliency, "scope": self.scope, "budget": 0.0}
                student = Prune.model_validate(made).compress(student, lab)
        return Shrink().compress(student, lab)


def beside_reference(
    model: nn.Module, lab: Lab, model_type: str, settings: Mapping[str, object], *, student: str
) -> nn.Module:
    """A model of another architecture with fresh weights and the reference's vocabulary and head.

    Raises `MethodError` if earlier stages would be lost, or if the architecture has no such head.
    """
    from bench.models.adapter import adapter_for
    from bench.models.bodies import beside

    refuse_lost_work(model, lab.reference, where=f"distill: student '{student}'")
    vocabulary: dict[str, object] = {
        "vocab_size": adapter_for(lab.reference).word_embedding(lab.reference).num_embeddings,
        "pad_token_id": lab.tokenizer.pad_token_id,
    }
    try:
        return beside(lab.reference, model_type, {**vocabulary, **settings}, seed=lab.seed).to(lab.device)
    except ModelError as error:
        raise MethodError(f"distill: student '{student}': {error}") from error
