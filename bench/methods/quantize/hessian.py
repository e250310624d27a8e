"""The top eigenvalue of each layer's block of the loss's Hessian, by Lanczos's iteration on shards of training data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.models.differentiable import differentiable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from bench.methods.quantize.work import Work
    from bench.tasks.kinds.kind import Batch

TOLERANCE = 1e-4  # largest residual of an eigenpair, as a share of its eigenvalue
DENSE = 32  # weights up to which the whole Hessian is made: Lanczos's iteration needs some room


class Curvature(NamedTuple):
    """The top eigenvalue of one block on each shard; `omega` is |mean| + deviation (n in the denominator)."""

    eigenvalues: tuple[float, ...]

    @property
    def omega(self) -> float:
        """|mean| + standard deviation over shards."""
        mean = sum(self.eigenvalues) / len(self.eigenvalues)
        variance = sum((each - mean) ** 2 for each in self.eigenvalues) / len(self.eigenvalues)
        return abs(mean) + math.sqrt(variance)


def top_eigenvalue(
    loss: Callable[[], Tensor], weights: Sequence[Tensor], *, iterations: int, draws: torch.Generator
) -> float:
    """The eigenvalue of largest magnitude, with its sign, of the Hessian of `loss` in `weights`.

    HAWQ's top eigenvalue is what its power iteration tends to (Dong et al. 2019, arXiv:1905.03696, alg. 1): that of
    largest magnitude, which may be negative, and not the largest. Power iteration itself is slow if the next eigenvalue
    is near in magnitude, and nowhere between two of opposite sign; here Lanczos's iteration with restarts finds the two
    of largest magnitude (ARPACK, Lehoucq, Sorensen and Yang 1998), from Hessian-vector products (Yao et al. 2020,
    arXiv:1912.07145). It ends when the residual |H v - a v| of both is at most `TOLERANCE` |a|, which bounds how far a
    is from an eigenvalue. The same draws give the same value.

    Args:
        loss: computes the scalar.
        weights: tensors that it depends on and that take gradients.
        iterations: most restarts, of up to 20 products each.
        draws: of the first vector.

    Raises:
        MethodError: no convergence, or products that are not finite.
    """
    import numpy as np
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

    gradients = torch.autograd.grad(loss(), weights, create_graph=True)
    count, products = sum(weight.numel() for weight in weights), 0
    shapes = [weight.shape for weight in weights]

    def product(flat: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        nonlocal products
        products += 1
        parts = torch.split(torch.from_numpy(np.array(flat)).ravel(), [shape.numel() for shape in shapes])
        vector = [part.view(shape).to(weight) for part, shape, weight in zip(parts, shapes, weights, strict=True)]
        found = torch.autograd.grad(gradients, weights, grad_outputs=vector, retain_graph=True)
        curved = torch.cat([part.flatten() for part in found]).cpu().numpy()
        if not np.isfinite(curved).all():
            raise MethodError("quantize: the loss's Hessian has entries that are not finite, so it has no curvature")
        return curved

    start = torch.cat([torch.randn(shape, generator=draws).flatten() for shape in shapes]).to(weights[0].dtype).numpy()
    if count <= DENSE:
        return _largest(np.linalg.eigvalsh(np.stack([product(row) for row in np.eye(count, dtype=start.dtype)])))
    if not product(start).any():
        return 0.0  # a vector drawn at random is in the null space of no other matrix
    try:
        values = eigsh(
            LinearOperator((count, count), matvec=product, dtype=start.dtype),
            k=2,
            which="LM",
            v0=start,
            tol=TOLERANCE,
            maxiter=iterations,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as error:
        raise MethodError(
            f"quantize: the top eigenvalue of the loss's Hessian has not converged to {TOLERANCE:g} in {iterations} "
            f"restarts of Lanczos's iteration ({products} products). Raise `iterations`."
        ) from error
    except ArpackError as error:
        raise MethodError(f"quantize: Lanczos's iteration on the loss's Hessian failed: {error}") from error
    return _largest(values)


def _largest(values: NDArray[np.floating[Any]]) -> float:
    """The one of largest magnitude; of two that are opposite to the bit the positive one."""
    return float(max(values, key=lambda value: (abs(value), value)))


def curvature(
    blocks: Mapping[str, Sequence[Tensor]], work: Work, *, shards: int, iterations: int
) -> dict[str, Curvature]:
    """The curvature of each block of weights of `work.model`, which is left as it was.

    The first `examples` training examples are dealt to `shards`, each a batch of its own; the model runs in evaluation
    mode. Raises `MethodError` if there are fewer examples than shards, or if an eigenvalue does not converge.
    """
    from bench.tasks.kinds.kind import KINDS

    kind = KINDS.get(work.lab.task.kind)
    draws = torch.Generator().manual_seed(work.lab.seed)
    batches = dealt(work, shards)
    found: dict[str, list[float]] = {name: [] for name in blocks}
    with _frozen(work.model), differentiable(work.model):
        for number, (name, weights) in enumerate(blocks.items(), start=1):
            for weight in weights:
                weight.requires_grad_(True)
            for batch in batches:

                def loss(batch: Batch = batch) -> Tensor:
                    return kind.loss(work.model(**batch.inputs), batch.targets)

                try:
                    found[name].append(top_eigenvalue(loss, weights, iterations=iterations, draws=draws))
                except MethodError as error:
                    raise MethodError(f"{error} It was that of {name}.") from error
            for weight in weights:
                weight.requires_grad_(False)  # so that other blocks' graphs end above this one
            work.lab.progress(f"curvature of {name}", number / len(blocks))
    return {name: Curvature(tuple(values)) for name, values in found.items()}


def dealt(work: Work, count: int) -> list[Batch]:
    """The `count` shards of the training examples, on the device."""
    from bench.tasks.batching import collate
    from bench.tasks.kinds.kind import Batch

    lab = work.lab
    chosen = list(lab.features[: work.method.examples])
    if len(chosen) < count:
        raise MethodError(f"quantize: {len(chosen)} training examples do not make {count} shards. Lower `shards`.")
    batches = []
    for start in range(count):
        batch = collate(chosen[start::count], pad_id=lab.tokenizer.pad_token_id)
        inputs, targets = ({key: value.to(lab.device) for key, value in part.items()} for part in batch[:2])
        batches.append(Batch(inputs, targets, batch.rows))
    return batches


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No parameter with a gradient, as long as the context is open."""
    wanted = {name: each.requires_grad for name, each in model.named_parameters()}
    model.requires_grad_(False)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted[name])
