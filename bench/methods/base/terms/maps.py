"""Which layer of a student is compared with which of its teacher, and every such map there is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices

Pair = tuple[int, int]  # a layer of the student and one of the teacher, counted from 1; 0 is the embeddings


class LayerMap(Choice):
    """Pairs of layers of a stack; the student has 1 to M, the teacher 1 to N."""

    @abstractmethod
    def pairs(self, student: int, teacher: int) -> tuple[Pair, ...]:
        """The pairs for a student of `student` layers and a teacher of `teacher`.

        Raises `MethodError` if the map has none for these depths.
        """


LAYER_MAPS: Choices[LayerMap] = Choices("layer map", modules=(), group="bench.layer_maps")


@LAYER_MAPS.register("uniform")
class UniformMap(LayerMap):
    """Layer m with layer m N / M (TinyBERT: Jiao et al. 2020, arXiv:1909.10351, §3.1): 4 of 12 have [3, 6, 9, 12].

    If N is no multiple of M, the layers are those at which `bench.models.source.spread` starts a student.
    """

    @override
    def pairs(self, student: int, teacher: int) -> tuple[Pair, ...]:
        from bench.models.source import spread

        if student > teacher:
            raise MethodError(
                f"map '{self.called}': the student has {student} layers and its teacher {teacher}. Use map explicit."
            )
        return tuple((mine, its + 1) for mine, its in enumerate(spread(student, teacher), start=1))


@LAYER_MAPS.register("skip")
class SkipMap(UniformMap):
    """As uniform, without the last layer (PKD-Skip: Sun et al. 2019, arXiv:1908.09355, §3.2): 2, 4, 6, 8, 10 of 12."""

    @override
    def pairs(self, student: int, teacher: int) -> tuple[Pair, ...]:
        return _some(super().pairs(student, teacher)[:-1], self.called)


@LAYER_MAPS.register("last")
class LastMap(LayerMap):
    """The last layers without the very last (PKD-Last: Sun et al. 2019, arXiv:1908.09355, §3.2): 7 to 11 of 12."""

    @override
    def pairs(self, student: int, teacher: int) -> tuple[Pair, ...]:
        shift = teacher - student
        if shift < 0:
            raise MethodError(f"map 'last': the student has {student} layers and its teacher {teacher}")
        return _some(tuple((mine, mine + shift) for mine in range(1, student)), self.called)


@LAYER_MAPS.register("one-to-one")
class IdentityMap(LayerMap):
    """Every layer with the one of its number; both have the same depth."""

    @override
    def pairs(self, student: int, teacher: int) -> tuple[Pair, ...]:
        if student != teacher:
            raise MethodError(
                f"map 'one-to-one': the student has {student} layers and its teacher {teacher}, so they cannot be "
                f"paired. Use map uniform, skip, last or explicit."
            )
        return tuple((layer, layer) for layer in range(1, student + 1))


@LAYER_MAPS.register("top")
class TopMap(LayerMap):
    """The student's last layer with the teacher's last, or with the given one (MiniLM: arXiv:2002.10957, §3)."""

    layer: int | None = Field(None, ge=1, description="the teacher's layer, counted from 1; None is its last")

    @override
    def pairs(self, student: int, teacher: int) -> tuple[Pair, ...]:
        chosen = teacher if self.layer is None else self.layer
        if chosen > teacher:
            raise MethodError(f"map 'top': layer is {chosen}, but the teacher has {teacher}")
        return ((student, chosen),)


def _read(value: object) -> object:
    """`1:3+2:6` on a command line, where a list is a grid, as pairs."""
    return [pair.split(":") for pair in value.split("+")] if isinstance(value, str) else value


@LAYER_MAPS.register("explicit")
class ExplicitMap(LayerMap):
    """The given pairs; 0 is the embeddings. A layer may be in several."""

    layers: Annotated[tuple[Pair, ...], BeforeValidator(_read)] = Field(
        description="pairs of a student's and a teacher's layer, [[1, 3], [2, 6]], or 1:3+2:6 on a command line"
    )

    @model_validator(mode="after")
    def _pairs_are_numbers_of_layers(self) -> ExplicitMap:
        if not self.layers or min(min(pair) for pair in self.layers) < 0:
            raise ValueError("layers needs at least one pair of numbers from 0 on")
        return self

    @override
    def pairs(self, student: int, teacher: int) -> tuple[Pair, ...]:
        for mine, its in self.layers:
            if mine > student or its > teacher:
                raise MethodError(
                    f"map 'explicit': the pair [{mine}, {its}] is outside of {student} layers of the student and "
                    f"{teacher} of its teacher"
                )
        return self.layers


def _some(pairs: tuple[Pair, ...], name: str) -> tuple[Pair, ...]:
    if not pairs:
        raise MethodError(
            f"map '{name}' leaves out the last layer, and the student has only one. Use map uniform, or a deeper "
            f"student."
        )
    return pairs
