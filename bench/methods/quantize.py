"""Post-training quantization of linear layers to 8-bit integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bench.errors import MethodError
from bench.methods.method import METHODS, Lab, Method
from bench.methods.roles import ROLES, Role
from bench.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("quantize")
class Quantize(Method):
    """Store encoder weights as int8 and multiply integers at run time (the scheme of Jacob et al. 2018, §2).

    Weights are symmetric, w = scale * q with q in [-127, 127] and one scale an output channel; activations get their
    scale from each call's own range (dynamic), so no calibration data are needed and nothing is trained. MACs stay,
    their operands become narrower (`bops`); embeddings, norms, pooler and head stay in float. arXiv:1712.05877.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    scheme: Literal["dynamic"] = Field("dynamic", description="activation ranges are taken from each call")
    bits: Literal[8] = Field(8, description="bits of weights and of activations")
    targets: tuple[Role, ...] = Field(ROLES, min_length=1, description="which encoder matrices, by role")

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """See `Method`; raises `MethodError` where a layer is no dense floating-point matrix any more."""
        from torch import nn

        from bench.layers.int8 import Int8Linear
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model, replace_module

        quantized = copy_model(model)
        for name, linear in adapter_for(quantized).linears(quantized, self.targets).items():
            if not isinstance(linear, nn.Linear):
                raise MethodError(
                    f"quantize: {name} is a {type(linear).__name__}, which has no integer form. "
                    "Quantize dense layers only, and only once."
                )
            replace_module(quantized, name, Int8Linear.from_float(linear.weight, linear.bias))
        return quantized.eval()
