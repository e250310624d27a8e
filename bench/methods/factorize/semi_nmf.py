"""The solver by semi-non-negative matrix factorization: one factor has no negative entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.methods.factorize.solver import SOLVERS, MatrixSolver

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.factorize.calibration import Moment
    from bench.methods.factorize.sites import Site
    from bench.methods.factorize.solver import Work

ITERATIONS = 100
STILL = 1e-5  # relative fall of the error in one round below which the factors are taken to have settled
_TINY = 1e-12
_START = 0.2  # added to every entry of the start, where a 0 would stay 0, as the paper adds it to cluster indicators


class SemiNmf(NamedTuple):
    """`second` [m, r] of any sign, `first` [r, n] without a negative entry, and the squared error after each round.

    `settled` is False if the rounds ended while the error still fell.
    """

    second: Tensor
    first: Tensor
    errors: tuple[float, ...]
    settled: bool


@SOLVERS.register("semi-nmf")
class SemiNmfSolver(MatrixSolver):
    """W ~ U V with V >= 0 (Ding, Li & Jordan 2010, doi:10.1109/TPAMI.2008.277, §2.1), as used by Winata et al. 2019."""

    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """See `MatrixSolver`; float64."""
        found = semi_nmf(weight.cpu(), rank)  # the least squares below need a solver that only the CPU has
        return found.second.to(weight.device), found.first.to(weight.device)

    def put(self, site: Site, rank: int, work: Work, *, seed: int) -> None:
        """See `MatrixSolver`; factors that have not settled are told as progress."""
        weight = site.weight.detach()
        found = semi_nmf(weight.cpu(), rank)
        if not found.settled:
            fall = 1 - found.errors[-1] / found.errors[-2]
            work.lab.progress(
                f"semi-nmf of {site.name} has not settled: its error fell by {fall:.1e} in the last round", 0
            )
        site.put(work.model, found.second.to(weight), found.first.to(weight))

    def values(self, weight: Tensor, *, moment: Moment | None) -> Tensor:
        """The singular values: those of the best factors without the sign, a bound on what a rank can take away."""
        import torch

        values: Tensor = torch.linalg.svdvals(weight.detach().double())
        return values


def semi_nmf(weight: Tensor, rank: int, *, iterations: int = ITERATIONS) -> SemiNmf:
    """Alternate the best U for V with a step of V that keeps it non-negative; the error never rises.

    With G = V^T and F = U: F = W G (G^T G)^-1, then G <- G * sqrt(((W^T F)+ + G (F^T F)-) / ((W^T F)- + G (F^T F)+)),
    where x+ and x- are the positive and the negative part. G starts as the magnitudes of the leading right singular
    vectors plus 0.2 (the paper starts from k-means plus 0.2), so that no seed is needed.
    """
    import torch

    values = weight.detach().double()
    basis = torch.linalg.svd(values, full_matrices=False)[2][:rank].abs().t() + _START  # [n, r]
    errors: list[float] = []
    left = _best_left(values, basis)
    errors.append(_error(values, left, basis))
    settled = False
    for _ in range(iterations):
        cross, gram = values.t() @ left, left.t() @ left
        above = cross.clamp_min(0) + basis @ gram.clamp_max(0).neg()
        below = cross.clamp_max(0).neg() + basis @ gram.clamp_min(0)
        basis = basis * ((above + _TINY) / (below + _TINY)).sqrt()
        left = _best_left(values, basis)
        errors.append(_error(values, left, basis))
        if errors[-2] - errors[-1] <= STILL * errors[-2]:
            settled = True
            break
    return SemiNmf(left, basis.t().contiguous(), tuple(errors), settled)


def _best_left(weight: Tensor, basis: Tensor) -> Tensor:
    """The F [m, r] with the least error for G [n, r]; the least of them where G has dependent columns."""
    import torch

    found: Tensor = torch.linalg.lstsq(basis, weight.t(), driver="gelsd").solution
    return found.t()


def _error(weight: Tensor, left: Tensor, basis: Tensor) -> float:
    return float((weight - left @ basis.t()).square().sum())
