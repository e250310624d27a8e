"""In which order a student learns what the terms ask for, and every curriculum there is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod

if TYPE_CHECKING:
    from torch import nn

    from bench.training.hooks import Hook
    from bench.training.terms.teacher import Taught


class Curriculum(Choice):
    """How the budget of a distillation is spent."""

    @abstractmethod
    def run(self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught, hooks: Sequence[Hook]) -> None:
        """Train `student` in place by one or several calls of `method.tune`.

        Args:
            method: the stage.
            student: as it starts.
            lab: of the data that the student trains on.
            taught: the teachers and their hooks.
            hooks: those of the data.
        """


CURRICULA: Choices[Curriculum] = Choices("curriculum", modules=(), group="bench.curricula")


@CURRICULA.register("at-once")
class AtOnce(Curriculum):
    """All terms from the first step to the last."""

    @override
    def run(self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught, hooks: Sequence[Hook]) -> None:
        method.tune(student, lab, hooks=[*taught.hooks, *hooks], terms=taught.terms, teachers=taught.teachers)


class _Layerwise(Curriculum):
    """One stage for each layer of the student that a term reads, from the lowest on, and one for the outputs."""

    inner_share: float = Field(
        0.5, gt=0, lt=1, description="share of the budget for the layers, in equal parts; the rest is for the outputs"
    )

    @override
    def fits(self, method: TrainedMethod) -> None:
        layered = {term.what.layered for term in method.terms.working.values()}
        if layered != {True, False}:
            raise ValueError(
                f"curriculum '{self.called}' has stages for layers and one for outputs, so it needs terms of both, "
                f"such as cls and logits"
            )

    def _stages(
        self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught
    ) -> list[tuple[int, frozenset[int]]]:
        """The layer of each stage, with the layers that are new in it; the embeddings come with the first."""
        read = method.guidance(lab, taught.teachers).layers_of(student)
        layers = [layer for layer in read if layer] or [0]
        return [(layer, frozenset([layer, 0] if layer == layers[0] else [layer])) for layer in layers]

    def _finish(
        self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught, hooks: Sequence[Hook]
    ) -> None:
        """Train towards the outputs alone."""
        from bench.training.terms.guidance import Focus

        method.tune(
            student,
            lab,
            share=1.0 - self.inner_share,
            hooks=[*taught.hooks, *hooks],
            terms=taught.terms,
            teachers=taught.teachers,
            focus=Focus(layers=frozenset()),
        )


@CURRICULA.register("layer-by-layer")
class LayerByLayer(_Layerwise):
    """Layers from the lowest to the highest, then the outputs (Aguilar et al. 2020, arXiv:1910.03723, §3.3).

    Progressive internal distillation: in each stage the terms of one layer. With `stacked` those of the layers below
    stay: stacked internal distillation. The last stage has terms of outputs alone. The paper may go on to the next
    layer sooner, at a threshold of the loss; here stages have equal lengths.
    """

    stacked: bool = Field(False, description="whether the terms of lower layers stay in the stages of higher ones")

    @override
    def run(self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught, hooks: Sequence[Hook]) -> None:
        from bench.training.terms.guidance import Focus

        stages = self._stages(method, student, lab, taught)
        below: frozenset[int] = frozenset()
        for _, new in stages:
            below = below | new if self.stacked else new
            method.tune(
                student,
                lab,
                share=self.inner_share / len(stages),
                hooks=[*taught.hooks, *hooks],
                teachers=taught.teachers,
                focus=Focus(layers=below, outputs=False),
            )
        self._finish(method, student, lab, taught, hooks)


@CURRICULA.register("progressive")
class ProgressiveTransfer(_Layerwise):
    """Stage l trains layer l; what lies below learns slowly, what lies above not at all (MobileBERT, §3.4).

    Sun et al. 2020, arXiv:2004.02984. The terms of layer l alone are minimised in its stage. The embeddings lie below
    every layer. The last stage has terms of outputs alone and trains everything.
    """

    lower_rate: float = Field(0.1, ge=0, le=1, description="learning rate of what lies below, as a share")

    @override
    def run(self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught, hooks: Sequence[Hook]) -> None:
        from bench.training.rates import SlowerBelow
        from bench.training.terms.guidance import Focus

        stages = self._stages(method, student, lab, taught)
        for layer, new in stages:
            slower = SlowerBelow(student, layer, factor=self.lower_rate)
            method.tune(
                student,
                lab,
                share=self.inner_share / len(stages),
                hooks=[slower, *taught.hooks, *hooks],
                teachers=taught.teachers,
                focus=Focus(layers=new, outputs=False),
            )
        self._finish(method, student, lab, taught, hooks)
