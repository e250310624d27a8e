"""What a quantization scheme is: whether weights alone are quantized or activations too, and when ranges are found."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base.choice import Choice, Choices
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from bench.methods.quantize.allocation import Allocation
    from bench.methods.quantize.work import Quantization


class Scheme(Choice):
    """One way to make a quantized model; fields are its arguments. `saves` is what its result is meant to save."""

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    @abstractmethod
    def apply(self, work: Quantization, allocation: Allocation) -> None:
        """Put quantized forms into `work.model`; raises `MethodError` for a target that has none."""


SCHEMES: Choices[Scheme] = Choices(
    "quantization scheme", modules=("bench.methods.quantize.schemes",), group="bench.quantization_schemes"
)
