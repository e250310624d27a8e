"""What the modes have in common whose products stay in float: how the activations in front of them are rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bench.methods.quantize.mode import Mode
from bench.methods.quantize.range import check_learned

if TYPE_CHECKING:
    from bench.methods.quantize.quantize import Quantize


class RoundedInputs(Mode):
    """A mode that rounds what is multiplied where `activation_bits` says to how many bits."""

    activation_bits: int | None = Field(
        None, ge=2, le=8, description="bits that inputs are rounded to; None leaves them in float"
    )
    activation_grid: Literal["symmetric", "affine", "interval"] = Field(
        "symmetric", description="steps about 0, with a zero point, or from one end of the range to the other"
    )
    activation_span: Literal["call", "token", "fixed"] = Field(
        "call", description="what has an activation range of its own, or one range that stays"
    )

    def fits(self, method: Quantize) -> None:
        """See `Choice`."""
        check_learned("activation_range", method.activation_range, grid=self.activation_grid, budget=method.budget)
