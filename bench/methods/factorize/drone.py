"""The data-aware solver: the factors that change a layer's outputs on real inputs the least."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.base.errors import MethodError
from bench.methods.factorize.solver import SOLVERS, MatrixSolver

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.factorize.calibration import Moment


@SOLVERS.register("drone")
class Drone(MatrixSolver):
    """W' = U_k U_k^T W, U_k the k leading left singular vectors of W X (Chen et al. 2021, DRONE).

    It minimises ||W X - W' X||_F over all W' of rank k, the least being sqrt(sum_{i>k} s_i(W X)^2), and is the
    truncated SVD where X X^T is a multiple of the identity. The paper's closed form through the SVDs of W and X has the
    same product; this form inverts no singular value. X are the inputs of the layer on training examples, of which
    only X X^T or W X X^T W^T is kept.
    """

    calibrated: ClassVar[bool] = True

    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """See `MatrixSolver`; float64."""
        left = _given(moment).leading(weight)[0][:, :rank]
        return left, left.t() @ weight.detach().double()

    def values(self, weight: Tensor, *, moment: Moment | None) -> Tensor:
        """The singular values of W X, float64."""
        return _given(moment).leading(weight)[1]


def _given(moment: Moment | None) -> Moment:
    if moment is None:
        raise MethodError("factorize: drone needs the inputs of each matrix, and an embedding has none. Use svd.")
    return moment
