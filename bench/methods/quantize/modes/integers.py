"""What the modes that multiply 8-bit integers have in common: their arguments and their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.work import Work

FIXED = {"bits": 8, "grid": "symmetric", "granularity": "row", "range": "min-max", "allocation": "constant"}


def check_kernels(method: Quantize) -> None:
    """Raise `ValueError` for what integer kernels do not take: their weights are symmetric, with a scale a row."""
    odd = [name for name, value in FIXED.items() if getattr(method, name) != value]
    if odd:
        raise ValueError(
            f"scheme '{method.scheme}' runs integer kernels, which take {odd[0]} = {FIXED[odd[0]]!r} only, found "
            f"{getattr(method, odd[0])!r}. Give scheme 'weights' for other choices"
        )
    if "embedding" in method.targets or method.role_bits:
        raise ValueError(
            f"scheme '{method.scheme}' is for linear layers of 8 bits; give scheme 'weights' for tables or other bits"
        )


def linears(work: Work) -> dict[str, nn.Module]:
    """The linear modules of the targets by name, each stored one once."""
    from bench.models.adapter import adapter_for

    roles = [target for target in work.method.targets if target != "embedding"]
    return adapter_for(work.model).linears(work.model, roles)


def no_form(name: str, module: nn.Module) -> MethodError:
    """The refusal of a layer that is no longer in float."""
    return MethodError(
        f"quantize: {name} is a {type(module).__name__}, which has no integer form. Quantize layers in float, and only "
        "once."
    )
