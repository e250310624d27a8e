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
        """See `Method`; raises `MethodError` where a layer is neither dense nor factorized in floating point."""
        from bench.layers.replacing import replace_everywhere
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        quantized = copy_model(model)
        for name, linear in adapter_for(quantized).linears(quantized, self.targets).items():
            replace_everywhere(quantized, linear, _integer(linear, where=f"quantize: {name}"))
        return quantized.eval()


def _integer(linear: nn.Module, *, where: str) -> nn.Module:
    """The integer form of a dense layer, or of both factors of a factorized one."""
    from torch import nn

    from bench.layers.factorized import FactorizedLinear
    from bench.layers.int8 import Int8Linear
    from bench.layers.int8_factorized import Int8FactorizedLinear

    if isinstance(linear, FactorizedLinear):
        return Int8FactorizedLinear.from_factorized(linear)
    if not isinstance(linear, nn.Linear):
        raise MethodError(
            f"{where} is a {type(linear).__name__}, which has no integer form. Quantize layers in float, and only once."
        )
    return Int8Linear.from_float(linear.weight, linear.bias)
