"""What a mode is: whether weights alone are quantized or activations too, and when their ranges are found."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from bench.base.registry import Registry
from bench.methods.base.choice import Choice
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from bench.methods.quantize.work import Work


class Mode(Choice):
    """One way to make a quantized model; fields are its arguments. `saves` is what its result is meant to save."""

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    @abstractmethod
    def apply(self, work: Work) -> None:
        """Put quantized forms into `work.model`; raises `MethodError` where a target has none."""


MODES: Registry[type[Mode]] = Registry(
    "quantization mode",
    modules=(
        "bench.methods.quantize.modes.dynamic",
        "bench.methods.quantize.modes.weights",
        "bench.methods.quantize.modes.static",
        "bench.methods.quantize.modes.operands",
    ),
    group="bench.quantization_modes",
)
