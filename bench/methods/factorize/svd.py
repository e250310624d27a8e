"""The solver by truncated singular value decomposition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.factorize.solver import SOLVERS, MatrixSolver

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.factorize.calibration import Moment


@SOLVERS.register("svd")
class Svd(MatrixSolver):
    """W = U S V^T becomes (U_r S_r^(1/2)) (S_r^(1/2) V_r^T), the nearest of its rank (Eckart & Young 1936)."""

    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """See `MatrixSolver`."""
        from bench.layers.svd import decompose, truncated

        return truncated(decompose(weight), rank)

    def values(self, weight: Tensor, *, moment: Moment | None) -> Tensor:
        """The singular values, float64."""
        import torch

        values: Tensor = torch.linalg.svdvals(weight.detach().double())
        return values
