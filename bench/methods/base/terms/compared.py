"""What a term compares of a student and its teacher, and everything there is."""

from __future__ import annotations

from typing import ClassVar

from bench.methods.base.choice import Choice, Choices


class Compared(Choice):
    """Something that a student and a teacher both have, and that a term of the objective brings together."""

    taught: ClassVar[bool] = True  # whether a teacher is needed
    divergence: ClassVar[str] = ""  # the usual one
    temperature: ClassVar[float] = 1.0


COMPARED: Choices[Compared] = Choices("compared quantity", modules=(), group="bench.compared")


@COMPARED.register("labels")
class Labels(Compared):
    """The task's own loss against the labels."""

    taught = False


@COMPARED.register("logits")
class Logits(Compared):
    """The outputs of the head (Hinton et al. 2015, arXiv:1503.02531): of a class, a span, or each predicted token."""

    divergence = "kl"
