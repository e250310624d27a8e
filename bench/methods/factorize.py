"""Low-rank factorization of weight matrices by truncated SVD."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from bench.errors import MethodError
from bench.methods.method import METHODS, Lab
from bench.methods.roles import ROLES, Role
from bench.methods.tuned import GuidedMethod
from bench.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("factorize")
class Factorize(GuidedMethod):
    """Replace each encoder matrix [m, n] by two of rank r, the best in Frobenius norm (Eckart & Young 1936).

    W = U S V^T becomes (U_r S_r^(1/2)) (S_r^(1/2) V_r^T): r (m + n) weights and MACs a token instead of m n. Exactly
    one of `ratio`, `rank` and `energy` sets r.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    solver: Literal["svd"] = Field("svd", description="how the two factors are found")
    ratio: float | None = Field(None, gt=0, le=1, description="r as a share of the full rank min(m, n)")
    rank: int | None = Field(None, ge=1, description="r itself, the same for every matrix")
    energy: float | None = Field(None, gt=0, le=1, description="least share of the squared singular values to keep")
    targets: tuple[Role, ...] = Field(ROLES, min_length=1, description="which encoder matrices, by role")
    budget: float = Field(1.0 / 3, ge=0, le=100, description="fine-tuning epochs as a share of the suite's; 0 is none")

    @model_validator(mode="after")
    def _one_way_to_set_the_rank(self) -> Factorize:
        given = [name for name in ("ratio", "rank", "energy") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of ratio, rank and energy (found {', '.join(given) or 'none'})")
        return self

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """See `Method`; raises `MethodError` where a rank would save nothing or a layer is no plain matrix any more."""
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model, replace_module

        smaller = copy_model(model)
        linears = adapter_for(smaller).linears(smaller, self.targets)
        layers = {name: self._factorized(linear, where=f"factorize: {name}") for name, linear in linears.items()}
        changed = {name: layer for name, layer in layers.items() if layer is not None}
        if not changed:
            raise MethodError(
                f"factorize: keeping {self.energy} of the energy saves nothing in any matrix. Lower energy."
            )
        for name, layer in changed.items():
            replace_module(smaller, name, layer)
        self.tune(smaller, lab)
        return smaller

    def _factorized(self, linear: nn.Module, *, where: str) -> nn.Module | None:
        """The factorized form of a dense layer, or None where its energy needs a rank that saves nothing."""
        from torch import nn

        from bench.layers.factorized import FactorizedLinear
        from bench.layers.svd import decompose, rank_for_energy, truncated

        if not isinstance(linear, nn.Linear):
            raise MethodError(
                f"{where} is a {type(linear).__name__}, not a dense matrix. Factorize before other stages."
            )
        rows, columns = linear.weight.shape
        parts = decompose(linear.weight)
        if self.energy is not None:
            rank = rank_for_energy(parts.values, self.energy)
            if rank * (rows + columns) >= rows * columns:
                return None
        else:
            rank = self.rank or max(1, round((self.ratio or 0) * min(rows, columns)))
            _refuse_a_rank_that_saves_nothing(rank, rows, columns, where=where)
        second, first = (factor.to(linear.weight.dtype) for factor in truncated(parts, rank))
        return FactorizedLinear.from_factors(first, second, linear.bias)


def _refuse_a_rank_that_saves_nothing(rank: int, rows: int, columns: int, *, where: str) -> None:
    if rank * (rows + columns) >= rows * columns:
        even = rows * columns / (rows + columns)
        raise MethodError(
            f"{where}: rank {rank} of a {rows} x {columns} matrix saves nothing: "
            f"expected a rank below the break-even {rows} * {columns} / ({rows} + {columns}) = {even:.1f}."
        )
