"""What a mode is: whether weights alone are quantized or activations too, and when their ranges are found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from bench.registry import Registry
from bench.saving import Saving

if TYPE_CHECKING:
    from bench.methods.quantize import Quantize
    from bench.methods.quantizing.work import Work


class Mode(ABC):
    """One way to make a quantized model; instances hold no state. `saves` is what its result is meant to save."""

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    @abstractmethod
    def refuses(self, method: Quantize) -> str | None:
        """Why these arguments do not go with the mode; None where they do. Called before anything is run."""

    @abstractmethod
    def apply(self, work: Work) -> None:
        """Put quantized forms into `work.model`; raises `MethodError` where a target has none."""


MODES: Registry[Mode] = Registry(
    "quantization mode",
    modules=(
        "bench.methods.quantizing.modes.dynamic",
        "bench.methods.quantizing.modes.weights",
        "bench.methods.quantizing.modes.static",
        "bench.methods.quantizing.modes.operands",
    ),
    group="bench.quantization_modes",
)
