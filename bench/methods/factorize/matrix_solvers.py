"""The solvers that factorize one matrix at a time: by SVD, by its outputs on data, with one sign, or at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.factorize.solver import SOLVERS, MatrixSolver

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.factorize.calibration import Moment
    from bench.methods.factorize.sites import MatrixSite
    from bench.methods.factorize.solver import Factorization

ITERATIONS = 100
STILL = 1e-5  # relative fall of the error in one round below which the factors are taken to have settled
_TINY = 1e-12
_START = 0.2  # added to every entry of the start, where a 0 would stay 0, as the paper adds it to cluster indicators


@SOLVERS.register("svd")
class Svd(MatrixSolver):
    """W = U S V^T becomes (U_r S_r^(1/2)) (S_r^(1/2) V_r^T), the nearest of its rank (Eckart & Young 1936)."""

    @override
    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        from bench.layers.factorized import decompose, truncated

        return truncated(decompose(weight), rank)

    def values(self, weight: Tensor, *, moment: Moment | None) -> Tensor:
        """The singular values, float64."""
        import torch

        values: Tensor = torch.linalg.svdvals(weight.detach().double())
        return values


@SOLVERS.register("drone")
class Drone(MatrixSolver):
    """W' = U_k U_k^T W, U_k the k leading left singular vectors of W X (Chen et al. 2021, DRONE).

    It minimises ||W X - W' X||_F over all W' of rank k, the least being sqrt(sum_{i>k} s_i(W X)^2), and is the
    truncated SVD if X X^T is a multiple of the identity. The paper's closed form through the SVDs of W and X has the
    same product; this form inverts no singular value. X are the inputs of the layer on training examples, of which
    only X X^T or W X X^T W^T is kept.
    """

    calibrated: ClassVar[bool] = True

    @override
    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """In float64."""
        left = _given(moment).leading(weight)[0][:, :rank]
        return left, left.t() @ weight.detach().double()

    def values(self, weight: Tensor, *, moment: Moment | None) -> Tensor:
        """The singular values of W X, float64."""
        return _given(moment).leading(weight)[1]


def _given(moment: Moment | None) -> Moment:
    if moment is None:
        raise MethodError("factorize: drone needs the inputs of each matrix, and an embedding has none. Use svd.")
    return moment


class SemiNmfFactors(NamedTuple):
    """`second` [m, r] of any sign, `first` [r, n] without a negative entry, and the squared error after each round.

    `settled` is False if the rounds ended while the error still fell.
    """

    second: Tensor
    first: Tensor
    errors: tuple[float, ...]
    settled: bool


@SOLVERS.register("semi-nmf")
class SemiNmf(MatrixSolver):
    """W ~ U V with V >= 0 (Ding, Li & Jordan 2010, doi:10.1109/TPAMI.2008.277, §2.1), as used by Winata et al. 2019."""

    @override
    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """In float64."""
        found = semi_nmf(weight.cpu(), rank)  # the least squares below need a solver that only the CPU has
        return found.second.to(weight.device), found.first.to(weight.device)

    @override
    def put(self, site: MatrixSite, rank: int, work: Factorization, *, seed: int) -> None:
        """Reports factors that have not settled as progress."""
        weight = site.weight.detach()
        found = semi_nmf(weight.cpu(), rank)
        if not found.settled:
            fall = 1 - found.errors[-1] / found.errors[-2]
            work.lab.progress(
                f"semi-nmf of {site.name} has not converged: its error still fell by {fall:.1e} in the last round", 0
            )
        site.put(work.model, found.second.to(weight), found.first.to(weight))

    def values(self, weight: Tensor, *, moment: Moment | None) -> Tensor:
        """The singular values: those of the best factors without the sign, a bound on what a rank can take away."""
        import torch

        values: Tensor = torch.linalg.svdvals(weight.detach().double())
        return values


def semi_nmf(weight: Tensor, rank: int, *, iterations: int = ITERATIONS) -> SemiNmfFactors:
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
    return SemiNmfFactors(left, basis.t().contiguous(), tuple(errors), settled)


def _best_left(weight: Tensor, basis: Tensor) -> Tensor:
    """The F [m, r] with the least error for G [n, r]; the least of them if G has dependent columns."""
    import torch

    found: Tensor = torch.linalg.lstsq(basis, weight.t(), driver="gelsd").solution
    return found.t()


def _error(weight: Tensor, left: Tensor, basis: Tensor) -> float:
    return float((weight - left @ basis.t()).square().sum())


@SOLVERS.register("random")
class Bottleneck(MatrixSolver):
    """Two factors of random weights without a nonlinearity (Sainath et al. 2013, doi:10.1109/ICASSP.2013.6638949).

    Entries are drawn from N(0, s / sqrt(rank)), s the standard deviation of the replaced matrix, so that the
    product has its scale (our choice: the paper's initialisation could not be read).
    """

    @override
    def seeded(self) -> bool:
        """True: its weights are drawn."""
        return True

    @override
    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """In float32."""
        import torch

        draws = torch.Generator().manual_seed(seed)
        deviation = (float(weight.detach().double().std()) / rank**0.5) ** 0.5
        second = torch.randn(weight.shape[0], rank, generator=draws) * deviation
        first = torch.randn(rank, weight.shape[1], generator=draws) * deviation
        return second.to(weight.device), first.to(weight.device)
