"""What a data-aware solver knows of a layer's inputs: their second moment, streamed over training examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.methods.base.listening import Listener, alike, listening, run

if TYPE_CHECKING:
    from bench.methods.base.method import Lab
    from bench.methods.factorize.sites import MatrixSite


class Moment:
    """X X^T [n, n] of a matrix [m, n] or, if that is smaller, (W X) (W X)^T [m, m]; float64.

    The state has min(m, n)^2 numbers however many rows were added.
    """

    def __init__(self, weight: Tensor) -> None:
        rows, columns = weight.shape
        self._weight = weight.detach() if rows <= columns else None
        side = min(rows, columns)
        self.sum = torch.zeros(side, side, dtype=torch.float64, device=weight.device)

    def add(self, inputs: Tensor) -> None:
        """Take in inputs [rows, n] of the layer."""
        values = inputs.double() if self._weight is None else inputs.double() @ self._weight.double().t()
        self.sum += values.t() @ values

    def leading(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Left singular vectors [m, min(m, n)] of W X and its singular values, in falling order, float64."""
        squares, vectors = torch.linalg.eigh(self.sum)  # rising
        values = squares.clamp_min(0).sqrt().flip(0)
        vectors = vectors.flip(1)
        if self._weight is not None:
            return vectors, values
        left, found, _ = torch.linalg.svd(weight.detach().double() @ (vectors * values), full_matrices=False)
        return left, found


class _Sums(NamedTuple):
    """Squared norms of W X and of (W - W') X."""

    whole: Tensor
    lost: Tensor


def calibrate(model: nn.Module, sites: Sequence[MatrixSite], lab: Lab, *, examples: int) -> dict[str, Moment]:
    """The moment of each site's inputs on the first `examples` training examples; sites without inputs are left out.

    The model runs in evaluation mode, without gradients, on batches of examples of one length, so that no padding is
    counted. Raises `MethodError` if there is no example.
    """
    heard = [site for site in sites if isinstance(site.module, nn.Linear)]
    moments = {site.name: Moment(site.weight) for site in heard}
    listeners: dict[nn.Module, Listener] = {site.module: moments[site.name].add for site in heard}
    with listening(listeners):
        for batch in alike(lab, examples=examples):
            run(model, batch)
    return moments


def held_out_errors(given: nn.Module, sites: Sequence[MatrixSite], lab: Lab, *, skip: int) -> str:
    """In words, ||(W - W') X|| / ||W X|| over all sites with factors, X from the examples after the first `skip`."""
    sums = {site.name: _Sums(*torch.zeros(2, dtype=torch.float64, device=site.weight.device)) for site in sites}

    def listener(site: MatrixSite) -> Listener:
        def add(inputs: Tensor) -> None:
            whole = (inputs @ site.weight.detach().t()).double()
            sums[site.name].whole.add_(whole.square().sum())
            sums[site.name].lost.add_((whole - site.applied(inputs).double()).square().sum())

        return add

    try:
        batches = alike(lab, examples=skip, skip=skip)
    except MethodError:
        return "no examples were left to measure the error outside the calibration set"
    with listening({given.get_submodule(site.name): listener(site) for site in sites}):
        for batch in batches:
            run(given, batch)
    whole, lost = (sum(float(each[part]) for each in sums.values()) for part in (0, 1))
    return f"outputs change by {(lost / whole) ** 0.5:.3f} of their norm on examples outside the calibration"
