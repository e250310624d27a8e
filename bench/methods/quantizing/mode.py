"""What a mode is: whether weights alone are quantized or activations too, and when their ranges are found."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from bench.methods.choosing import Choice
from bench.registry import Registry
from bench.saving import Saving

if TYPE_CHECKING:
    from bench.methods.quantizing.work import Work


class Mode(Choice):
    """One way to make a quantized model; fields are its arguments. `saves` is what its result is meant to save."""

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    @abstractmethod
    def apply(self, work: Work) -> None:
        """Put quantized forms into `work.model`; raises `MethodError` where a target has none."""


MODES: Registry[type[Mode]] = Registry(
    "quantization mode",
    modules=(
        "bench.methods.quantizing.modes.dynamic",
        "bench.methods.quantizing.modes.weights",
        "bench.methods.quantizing.modes.static",
        "bench.methods.quantizing.modes.operands",
    ),
    group="bench.quantization_modes",
)
