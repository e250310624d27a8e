"""Programs without passages: the answer of the nearest known question, and a choice among frequent answers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import METHODS, Lab, Method
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.tasks.examples import Example


@METHODS.register("nearest-question")
class NearestQuestion(Method):
    """Answer as the nearest training question is answered, by the cosine of the vectors of the given retriever.

    No passage and no reader is left, and nothing is trained. The baseline of Lewis et al. 2021, arXiv:2008.02637, §5:
    what it answers right is what the training questions repeat.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    questions: int | None = Field(
        None, ge=1, description="known questions, the first of the training data; None is all"
    )

    @override
    def seeded(self) -> bool:
        return False

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` if the model is no answering program, or if no training question has an answer."""
        from bench.models.answering.listed_answers import list_answers
        from bench.models.answering.system import encoded

        encoder = _encoder(model, where="nearest-question")
        known = _answered(lab, where="nearest-question")[: self.questions]
        lab.progress("encoding the known questions", 0.0)
        length = _question_tokens(lab)
        vectors = encoded(encoder, lab.tokenizer, [example.text for example in known], max_length=length)
        return list_answers(encoder, [example.answers[0].text for example in known], vectors=vectors)


@METHODS.register("closed-book")
class ClosedBook(Method):
    """Choose one of the most frequent training answers with a classifier over the question, from its weights alone.

    The closed-book setting of Roberts et al. 2020, arXiv:2002.08910, for an encoder: it can only say an answer that
    was frequent in training, as it cannot write. The retriever's encoder is fine-tuned together with the classifier,
    whose biases start at the logarithms of the answers' frequencies.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    answers: int = Field(1000, ge=2, description="how many of the most frequent answers it can give")
    epochs: float = Field(3.0, gt=0, le=1000, description="epochs over the training questions with one of them")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="peak learning rate")

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` if the model is no answering program, or if the training data have one answer only."""
        import torch

        from bench.models.answering.listed_answers import list_answers

        encoder = _encoder(model, where="closed-book")
        known = _answered(lab, where="closed-book")
        counted = Counter(answer for example in known for answer in _distinct(example)).most_common(self.answers)
        names = [answer for answer, _ in counted]
        if len(names) < 2:
            raise MethodError(f"closed-book: the training questions have one answer only, '{names[0]}'")
        closed = list_answers(encoder, names)
        with torch.no_grad():
            closed.scores.bias.copy_(torch.tensor([float(count) for _, count in counted]).log())
        _teach(closed, known, names, lab, epochs=self.epochs, learning_rate=self.learning_rate)
        return closed


def _teach(
    model: nn.Module, known: Sequence[Example], names: Sequence[str], lab: Lab, *, epochs: float, learning_rate: float
) -> None:
    """Train `model` in place to classify questions by their most frequent answer; others are left out."""
    from bench.tasks.kinds.kind import KINDS

    places = {name: place for place, name in enumerate(names)}
    lessons = []
    for example in known:
        found = [places[answer] for answer in _distinct(example) if answer in places]
        if found:
            lessons.append(dataclasses.replace(example, pair=None, answers=(), label=min(found)))
    task = lab.task.model_copy(update={"kind": "classification", "labels": tuple(names), "metrics": ("accuracy",)})
    kind = KINDS.get(task.kind)
    features = kind.encode(lessons, lab.tokenizer, task=task, max_length=_question_tokens(lab), training=True)
    dataclasses.replace(lab, task=task, features=features).train(model, epochs=epochs, learning_rate=learning_rate)


def _encoder(model: nn.Module, *, where: str) -> nn.Module:
    """A copy of the encoder that gives questions their vectors, ready to be trained."""
    import copy

    from bench.models.answering.system import AnsweringModel

    if not isinstance(model, AnsweringModel):
        raise MethodError(
            f"{where}: {type(model).__name__} does not answer open questions. Use the recipe in a task of kind open_qa."
        )
    encoder: Any = copy.deepcopy(model.question_encoder)
    return encoder.requires_grad_(True).eval()  # type: ignore[no-any-return]


def _answered(lab: Lab, *, where: str) -> list[Example]:
    found = [example for example in lab.examples if example.answers]
    if not found:
        raise MethodError(f"{where}: no training question has an answer, so there is nothing to answer with")
    return found


def _distinct(example: Example) -> list[str]:
    return list(dict.fromkeys(answer.text for answer in example.answers))


def _question_tokens(lab: Lab) -> int:
    from bench.tasks.kinds.open_qa import question_room

    return question_room(lab.task.max_length or lab.setting.max_length)
