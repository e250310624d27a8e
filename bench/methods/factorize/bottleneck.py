"""The solver that keeps nothing of the matrix: a random bottleneck, to be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.factorize.solver import SOLVERS, MatrixSolver

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.factorize.calibration import Moment


@SOLVERS.register("random")
class Bottleneck(MatrixSolver):
    """Two factors of random weights, nothing between (Sainath et al. 2013, doi:10.1109/ICASSP.2013.6638949).

    Entries are drawn from N(0, s / sqrt(rank)), s the standard deviation of the matrix that is replaced, so that the
    product starts at its scale (ours: the paper's initialisation is not in what could be read).
    """

    def seeded(self) -> bool:
        """See `Choice`; its weights are drawn."""
        return True

    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """See `MatrixSolver`; float32."""
        import torch

        draws = torch.Generator().manual_seed(seed)
        deviation = (float(weight.detach().double().std()) / rank**0.5) ** 0.5
        second = torch.randn(weight.shape[0], rank, generator=draws) * deviation
        first = torch.randn(rank, weight.shape[1], generator=draws) * deviation
        return second.to(weight.device), first.to(weight.device)
